"""Does the agent say what its text prompt is about? Counts over rendered samples, by the agent's text stream."""
import json
import pathlib

from . import texts


def role_of(prompt):
    for role, (last, _, _) in texts.SERVICES.items():
        if prompt.startswith("You work for ") and company_of(prompt).endswith(last):
            return role
    return next((role for role, (prompts, _) in texts.TALKS.items() if prompt in prompts), None)


def company_of(prompt):
    return prompt.removeprefix("You work for ").split(" which")[0].split(" and your")[0]


def follows(root):
    """{what: (right, all)}: sentences of a role, names that the agent knows: of companies where nobody
    cuts it short, its own where it introduces itself."""
    root = pathlib.Path(root)
    counts = {"sentences of the role": [0, 0], "name of the company": [0, 0], "name of the agent": [0, 0]}

    def count(what, right):
        counts[what][0] += right
        counts[what][1] += 1

    repertoire = [(role, sentence) for table, index in ((texts.SERVICES, 2), (texts.TALKS, 1))
                  for role, entry in table.items() for sentence in entry[index]]
    for line in (root / "manifest.jsonl").read_text(encoding="utf-8").splitlines():
        sample = json.loads(line)
        prompt = sample["text_prompt"]
        said = json.loads((root / sample["id"] / "output.json").read_text(encoding="utf-8"))["text"]
        for role, sentence in repertoire:
            if sentence in said:
                count("sentences of the role", role == role_of(prompt))
        if not prompt.startswith("You work for "):
            continue
        company, name = company_of(prompt), prompt.split("your name is ")[1].split(".")[0]
        known = company.rsplit(" ", 1)[0] in texts.FIRST
        if "for calling" in said and known and sample["id"].startswith("turn_taking/"):
            count("name of the company", f"calling {company}" in said)
        if "My name is" in said and name in texts.NAMES:
            count("name of the agent", f"name is {name}" in said)
    return counts
