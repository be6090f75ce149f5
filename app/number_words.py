"""Small numbers as people write them, from "zero" to "twenty": the place of a word is its number."""

import re

NUMBER_WORDS = tuple(
    re.findall(
        r"\w+",
        """
        zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
        eighteen nineteen twenty
        """,
    )
)
