// tests/unit/judge/small_specs.h: judges for tests, of either kind.
#pragma once

#include <string>

namespace ppx::testing {

inline const std::string kScoreYaml = R"(name: politeness
version: 3
description: For tests.
model: some-model
temperature: 0
max_tokens: 50
placeholders: [reply]
system: |
  Mark it. Answer {{"politeness": 0 to 5}}
user: |
  Reply: {reply}
answer:
  kind: score
  fields: [politeness]
controls:
  - name: thanks
    values: {reply: Thank you}
    expect: {politeness: [4, 5]}
  - name: rude
    values: {reply: Get lost}
    expect: {politeness: 0}
)";

inline const std::string kTwoScoresYaml = R"(name: two
version: 1
model: some-model
max_tokens: 50
placeholders: [a, b]
user: "{a}{b}{a}"
answer: {kind: score, fields: [x, y]}
controls:
  - name: c
    values: {a: "1", b: ""}
    expect: {x: [1, 2], y: 3}
)";

inline const std::string kLabelYaml = R"(name: choice
version: 1
model: some-model
max_tokens: 50
placeholders: [text]
user: "{text}"
answer: {kind: label, field: choice, labels: [GO, STAY, WAIT]}
controls:
  - name: go
    values: {text: now}
    expect: {choice: GO}
  - name: not go
    values: {text: later}
    expect: {choice: [STAY, WAIT]}
)";

}  // namespace ppx::testing
