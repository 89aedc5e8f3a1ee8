"""From an offer to its quote: predicted output lengths, priced under the policy in force."""

from admission.price.footprint import EngineShape, price
from admission.price.lengths import OutputLengths, class_keys
from admission.price.offer import Offer, Quote
from admission.price.outlook import Outlook
from admission.terms.settings import Policy, Settings


def quote(
    offer: Offer,
    engine: EngineShape,
    lengths: OutputLengths,
    settings: Settings,
) -> Quote:
    """Price of an offer now; it changes with what `lengths` learns and with the policy."""
    shape = offer.shape
    keys, predictions, outlooks, outputs, expected = [], [], [], [], []
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
        outlooks.append(Outlook(prompt.max_tokens) if worst else predicted.outlook)
        expected.append(predicted.expected_tokens)
    priced = price(shape, engine, outputs, expected=expected, outlooks=outlooks, reserve=worst)
    return Quote(priced, tuple(predictions), tuple(keys))
