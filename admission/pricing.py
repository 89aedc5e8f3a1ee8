"""From an offer to its quote: predicted output lengths, priced under the policy in force."""

from admission.exchange import Offer, Quote
from admission.footprint import EngineShape, price
from admission.lengths import OutputLengths, class_keys
from admission.prefixes import Prefixes
from admission.settings import Policy, Settings


def quote(
    offer: Offer,
    engine: EngineShape,
    lengths: OutputLengths,
    prefixes: Prefixes,
    settings: Settings,
) -> Quote:
    """Price of an offer now.

    It changes with what `lengths` learns, with what is cached and with the policy.
    """
    shape = offer.shape
    keys, predictions, outputs, expected = [], [], [], []
    worst = settings.policy is Policy.WORST_CASE
    for prompt in shape.prompts:
        key = class_keys(offer.tenant, prompt.prompt_tokens, prompt.max_tokens)
        predicted = lengths.predict(
            key,
            settings,
            max_tokens=prompt.max_tokens,
            min_tokens=shape.min_tokens,
            ignore_eos=shape.ignore_eos,
        )
        keys.append(key)
        predictions.append(predicted)
        outputs.append(prompt.max_tokens if worst else predicted.tokens)
        expected.append(predicted.expected_tokens)
    cached = [prefixes.foreseen_tokens(prompt.chain) for prompt in shape.prompts]
    priced = price(shape, engine, outputs, expected=expected, cached=cached, reserve=worst)
    return Quote(priced, tuple(predictions), tuple(keys))
