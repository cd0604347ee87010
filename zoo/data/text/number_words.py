"""Numbers in words, in English and in German."""

_EN = (
    *("zero one two three four five six seven eight nine ten eleven twelve".split()),
    *("thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()),
)
_EN_TENS = "- - twenty thirty forty fifty sixty seventy eighty ninety".split()
_EN_ORDINALS = {1: "first", 2: "second", 3: "third", 5: "fifth", 8: "eighth"}
_EN_ORDINALS |= {9: "ninth", 12: "twelfth", 20: "twentieth", 30: "thirtieth"}
_DE = (
    *("null ein zwei drei vier fünf sechs sieben acht neun zehn elf zwölf".split()),
    *("dreizehn vierzehn fünfzehn sechzehn siebzehn achtzehn neunzehn".split()),
)
_DE_TENS = "- - zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig".split()
_DE_ORDINALS = {1: "erst", 3: "dritt", 7: "siebt", 8: "acht"}


def english(n):
    """Returns 0 <= n < 1,000,000 in words: 321 is "three hundred twenty-one"."""
    if n < 20:
        return _EN[n]
    if n < 100:
        tens, ones = divmod(n, 10)
        return _EN_TENS[tens] + (f"-{_EN[ones]}" if ones else "")
    size, word = (100, "hundred") if n < 1000 else (1000, "thousand")
    many, rest = divmod(n, size)
    return f"{english(many)} {word}" + (f" {english(rest)}" if rest else "")


def german(n, last=True):
    """Returns 0 <= n < 1,000,000 in words, which is one word in German.

    Args:
        last: bool, whether nothing follows: 1 is "eins" there and "ein" elsewhere.
    """
    if n == 1 and last:
        return "eins"
    if n < 20:
        return _DE[n]
    if n < 100:
        tens, ones = divmod(n, 10)
        return (f"{_DE[ones]}und" if ones else "") + _DE_TENS[tens]
    size, word = (100, "hundert") if n < 1000 else (1000, "tausend")
    many, rest = divmod(n, size)
    return german(many, last=False) + word + (german(rest, last) if rest else "")


def english_ordinal(n):
    """Returns 1 <= n <= 31 as "first", "thirty-first"."""
    if n in _EN_ORDINALS:
        return _EN_ORDINALS[n]
    if n > 20:
        return f"{_EN_TENS[n // 10]}-{english_ordinal(n % 10)}"
    return _EN[n] + "th"


def german_ordinal(n):
    """Returns 1 <= n <= 31 as in "am ersten", "am einunddreißigsten"."""
    if n < 20:
        return _DE_ORDINALS.get(n, german(n, last=False) + "t") + "en"
    return german(n) + "sten"


def english_year(n):
    """Returns 1100 <= n < 2100 as years are read: "nineteen oh five"."""
    century, rest = divmod(n, 100)
    if century == 20:
        return english(n)
    if rest < 10:
        return f"{_EN[century]} " + (f"oh {_EN[rest]}" if rest else "hundred")
    return f"{_EN[century]} {english(rest)}"


def german_year(n):
    """Returns 1100 <= n < 2100 as years are read: "neunzehnhundertfünf"."""
    century, rest = divmod(n, 100)
    if century == 20:
        return german(n)
    return german(century, last=False) + "hundert" + (german(rest) if rest else "")
