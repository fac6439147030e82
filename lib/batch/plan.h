// lib/batch/plan.h: what a batch is to make, before anything is made.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ppx::batch {

struct PlannedDialogue {
  std::string id;      // unique in the plan; UTF-8; "candor_turn_taking/17"
  std::string key;     // 64 hexadecimal digits: SHA-256 of everything that determines its files
  int64_t frames = 0;  // how many it takes at most, prompt included; the longest goes first, and a
                       // slot of so many is long enough
  int slots = 1;       // 2 where two agents talk to each other
  std::vector<std::string> outputs;  // its files, relative to the output folder
};

// In the order of the inputs. Dialogues are named by their place in it.
using Plan = std::vector<PlannedDialogue>;

}  // namespace ppx::batch
