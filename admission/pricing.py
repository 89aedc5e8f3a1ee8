"""From an offer to its quote: predicted output lengths, priced under the policy in force."""

from admission.exchange import Offer, Quote
from admission.footprint import EngineShape, price
from admission.lengths import OutputLengths, class_keys
from admission.settings import Policy, Settings


def quote(offer: Offer, engine: EngineShape, lengths: OutputLengths, settings: Settings) -> Quote:
    """Price of an offer now; it changes with what `lengths` learns and with the policy."""
    shape = offer.shape
    keys = tuple(class_keys(offer.tenant, p.prompt_tokens, p.max_tokens) for p in shape.prompts)
    predictions = tuple(
        lengths.predict(
            key,
            settings,
            max_tokens=prompt.max_tokens,
            min_tokens=shape.min_tokens,
            ignore_eos=shape.ignore_eos,
        )
        for key, prompt in zip(keys, shape.prompts, strict=True)
    )
    worst = settings.policy is Policy.WORST_CASE
    outputs = tuple(
        prompt.max_tokens if worst else predicted.tokens
        for prompt, predicted in zip(shape.prompts, predictions, strict=True)
    )
    expected = tuple(predicted.expected_tokens for predicted in predictions)
    priced = price(shape, engine, outputs, expected=expected, reserve=worst)
    return Quote(priced, predictions, keys)
