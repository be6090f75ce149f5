"""What looks like a key in what somebody writes."""

import re

_MEANT = r"(?i:(?<=/keys )\s{0,9}[\w-]{1,20}\s{1,9}\S{8,2000})"  # of whatever form, where somebody means to set one
# What is surely one: a message is told to a model, and graded, without it.
KEYS = re.compile(
    rf"\b(?:sk-(?=[\w-]{{0,2000}}\d)[\w-]{{20,2000}}|tooloo_[\w-]{{40,2000}}|AIza[\w-]{{30,2000}}|gh[pousr]_\w{{30,2000}})|{_MEANT}"
)
# What may be one: no history keeps it, and no shared page shows it.
SECRETS = re.compile(
    r"\b(?:sk-[\w-]{12,}|tooloo_[\w-]{12,}|gh[pousr]_\w{20,}|xox[abprs]-[\w-]{10,}|AIza[\w-]{20,}|AKIA\w{12,}"
    r"|(?<![\w-])eyJ[\w-]{10,4000}\.[\w-]{10,8000}\.[\w-]{5,2000})\b"
    rf"|{_MEANT}"
)  # fmt: skip
