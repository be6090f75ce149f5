"""What looks like a key, wherever it stands in what somebody writes: it is kept nowhere and sent to nobody."""

import re

SECRETS = re.compile(
    r"\b(?:sk-[\w-]{12,}|tooloo_[\w-]{12,}|gh[pousr]_\w{20,}|xox[abprs]-[\w-]{10,}|AIza[\w-]{20,}|AKIA\w{12,}"
    r"|(?<![\w-])eyJ[\w-]{10,4000}\.[\w-]{10,8000}\.[\w-]{5,2000})\b"
    r"|(?i:(?<=/keys )\s{0,9}[\w-]{1,20}\s{1,9}\S{8,2000})"  # of whatever form, where somebody means to set one
)  # fmt: skip
