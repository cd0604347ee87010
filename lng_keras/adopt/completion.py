"""Completion of verbs, flags, choices and files for bash, zsh and fish."""

from collections.abc import Iterator
from typing import Any

SHELLS = ("bash", "zsh", "fish")
_BASH = """_lng_keras() {{
  local line=${{COMP_LINE:0:$COMP_POINT}} verb=${{COMP_WORDS[1]}} words=
  local word=${{line##* }} found
  if [ "$COMP_CWORD" -eq 1 ]; then words='{verbs}'; else
    case $verb in
{cases}
    esac
  fi
  found=$(compgen -W "$words" -- "$word")
  case $word in
    -*=*)
      found="$found $(compgen -P "${{word%%=*}}=" -f -- "${{word#*=}}")"
      # Bash takes what stands after the = for a word of its own.
      case $COMP_WORDBREAKS in
        *=*) found=$(printf '%s\\n' $found | sed 's/^[^=]*=//') ;;
      esac ;;
    -*) ;;
    *) found="$found $(compgen -f -- "$word")" ;;
  esac
  COMPREPLY=( $found )
}}
complete -o nospace -o filenames -F _lng_keras lng-keras
"""


def script(parser: Any, shell: str) -> str:
    """The text that a shell reads to complete `lng-keras`.

    Args:
        parser: of the command line, see arguments.py.
        shell: one of `SHELLS`.
    """
    verbs = dict(_verbs(parser))
    if shell == "fish":
        return "\n".join(dict.fromkeys(_fish(verbs))) + "\n"
    cases = "\n".join(
        f"      {verb}) words='{' '.join(words)}' ;;" for verb, words in verbs.items()
    )
    text = _BASH.format(verbs=" ".join(verbs), cases=cases)
    return (
        f"autoload -U bashcompinit && bashcompinit\n{text}" * (shell == "zsh") or text
    )


def _fish(verbs):
    for verb, words in verbs.items():
        yield f"complete -c lng-keras -n __fish_use_subcommand -xa {verb}"
        seen = f"complete -c lng-keras -n '__fish_seen_subcommand_from {verb}'"
        for word in words:
            flag, _, value = word.partition("=")
            if not flag.startswith("--"):
                yield f"{seen} -xa {flag}"
            else:
                values = f" -xa '{value}'" if value else " -r" * word.endswith("=")
                yield f"{seen} -l {flag.removeprefix('--')}{values}"


def _verbs(parser: Any) -> Iterator[tuple[str, list[str]]]:
    """Yields each verb and its words, `--flag=value` for each choice there is."""
    for verb, inside in parser.verbs.items():
        words: list[str] = []
        for action in inside.arguments:
            values = list(action.choices or [""])
            if not action.option_strings:
                words += filter(None, values)
            for flag in action.option_strings:
                if flag.startswith("--"):
                    ends = "" if action.nargs == 0 else "="
                    words += [f"{flag}{ends}{value}" for value in values]
        yield verb, words
