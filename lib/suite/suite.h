// lib/suite/suite.h: suite files (eval/*.yaml): which folders hold the samples of a benchmark,
// which files a sample is made of, what is scored, and which published numbers stand beside ours.
//
//   id: fdb-v1.0                  name of the suite in results
//   name: FullDuplexBench v1.0    for people
//   version: 1                    rises when the numbers of the same data change
//   source: arXiv 2503.04721
//   layout: task_folders          ROOT/TASK/SAMPLE/files; sample_folders: ROOT/SAMPLE/files
//   references: reference/x.yaml  relative to the suite file; optional
//   tasks:
//     candor_turn_taking:
//       kind: turn_taking         see TaskKind
//       folder: ...               default: the task's name
//       samples: 119              how many the published suite has; others are told
//       dataset: Candor
//       files: {user: input.wav, agent: output.wav, words: [output.json], marks: turn_taking.json}
//       metrics: {takeover_rate: higher, response_latency_s: lower, ...: none}
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ppx::suite {

enum class Layout {
  kTaskFolders,   // ROOT/TASK/SAMPLE/
  kSampleFolders  // ROOT/SAMPLE/, for a suite of one task
};

// What happens in a sample, which decides what can be measured.
enum class TaskKind {
  kPauseHandling,    // the user pauses inside a turn: stay silent
  kTurnTaking,       // the user's turn ends: answer
  kBackchannel,      // the user tells something: encourage, do not take over
  kInterruption,     // the user interrupts the agent: stop, then answer
  kOverlap,          // somebody speaks into the agent's speech (FullDuplexBench v1.5)
  kServiceQuestion,  // a question to a role (ServiceDuplexBench)
  kChannels          // any two channels
};
// "pause_handling", "turn_taking", "backchannel", "interruption", "overlap", "service_question",
// "channels".
const std::vector<std::string>& TaskKindNames();

enum class Better { kNone, kHigher, kLower };

struct MetricChoice {
  std::string name;  // "takeover_rate"
  Better better = Better::kNone;
};

// Names within a sample's folder. Empty: this task has none. Channels count from 0.
struct SampleFiles {
  std::string user;
  int user_channel = 0;
  std::string agent;
  int agent_channel = 0;
  std::vector<std::string> words;  // transcript of the agent; the first that is there counts
  std::string marks;               // the task's annotation
  std::string clean_user;          // the same without the overlap (v1.5)
  std::string clean_agent;
  std::string clean_words;
  std::string verdict;  // a recorded answer of a judge
  std::string tokens;   // a trace of ppx-offline, for checks of the agent's tokens
};

struct Task {
  std::string name;
  TaskKind kind = TaskKind::kChannels;
  std::string folder;
  std::string dataset;  // "Candor"; empty: the only one
  std::optional<int64_t> expected_samples;
  std::string prompt;        // text prompt that the agent is to be given; may be empty
  std::string ground_truth;  // file under the root, for the backchannel task
  std::string judge;         // name of a judge in eval/judges; empty: none
  SampleFiles files;
  std::vector<MetricChoice> metrics;

  // Null where the suite does not ask for that metric.
  const MetricChoice* Find(const std::string& metric) const;
};

struct Suite {
  std::string path;
  std::string id;
  std::string name;
  int64_t version = 1;
  std::string source;
  std::string sha256;      // of the file
  std::string references;  // path, resolved; empty: none
  Layout layout = Layout::kTaskFolders;
  std::vector<Task> tasks;  // in the order of the file
};

// Throws base::Error (kBadInput) with the place of what is wrong.
Suite LoadSuite(const std::string& path);

}  // namespace ppx::suite
