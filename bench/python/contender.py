"""The far end of a Python contender: answers each line of JSON with what a function of a module of this folder returns.

    python contender.py MODULE SETTINGS

MODULE has setup(settings), which returns a dictionary of functions by name.
"""

import importlib
import json
import sys
import traceback


def main():
    # What the SDK prints must not get between the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    functions = importlib.import_module(sys.argv[1]).setup(json.loads(sys.argv[2]))
    for line in sys.stdin:
        question = json.loads(line)
        try:
            answer = {"id": question["id"], "result": functions[question["name"]](question.get("order"))}
        except Exception:
            answer = {"id": question["id"], "error": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
