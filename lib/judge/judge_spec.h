// lib/judge/judge_spec.h: what a judge is asked and how it must answer, read from
// eval/judges/NAME.yaml. The file format is described in eval/judges/README.md.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace ppx::judge {

enum class AnswerKind {
  kScore,  // whole numbers in [lowest, highest], one for each field
  kLabel   // one of `labels`, in the only field
};

// A prompt cut at its placeholders.
struct PromptPiece {
  std::string text;  // literal text, or the placeholder's name without braces
  bool is_placeholder = false;
};
using PromptTemplate = std::vector<PromptPiece>;

struct ScoreRange {
  int lowest = 0;
  int highest = 0;  // inclusive
};

// A case whose answer is known: a judge that gets it wrong is not to be trusted.
struct Control {
  std::string name;                           // unique in the file
  std::map<std::string, std::string> values;  // one for each placeholder
  std::map<std::string, ScoreRange> scores;   // accepted marks of each field, of kScore
  std::vector<std::string> labels;            // accepted labels, of kLabel
};

struct JudgeSpec {
  std::string path;    // of the file, for messages
  std::string sha256;  // of the file's bytes
  std::string name;
  int version = 0;          // 1 or more; rises with every change that may change an answer
  std::string description;  // for people; the judge never sees it
  std::string model;        // asked where the caller names none
  double temperature = 0;
  int max_tokens = 0;
  std::vector<std::string> placeholders;  // each is used in `system` or `user`
  PromptTemplate system;                  // may be empty: then no system message is sent
  PromptTemplate user;
  AnswerKind kind = AnswerKind::kScore;
  std::vector<std::string> fields;  // of the answer's JSON object, in the file's order
  ScoreRange scale = {0, 5};        // of kScore
  std::vector<std::string> labels;  // of kLabel
  std::vector<Control> controls;    // at least one
};

// Reads a judge's file. Throws base::Error (kBadInput), with path, line and column, for invalid
// YAML, unknown, missing or repeated keys, values of the wrong type or outside their range,
// templates with a placeholder that is not declared or with a stray brace, declared placeholders
// that no template uses, and controls that lack a placeholder's value or expect what the judge
// cannot answer.
JudgeSpec LoadJudgeSpec(const std::string& path);
// The same from text; `path` is for messages only.
JudgeSpec ParseJudgeSpec(const std::string& yaml, const std::string& path);

// The prompt with its placeholders replaced. Values are put in as they are: braces in them mean
// nothing. Throws base::Error (kBadInput) that names a placeholder without a value.
std::string RenderPrompt(const PromptTemplate& prompt,
                         const std::map<std::string, std::string>& values);

}  // namespace ppx::judge
