#include "batch/slot_frames.h"

#include <algorithm>
#include <functional>

namespace ppx::batch {

std::vector<int64_t> SlotFrames(const Plan& plan, std::span<const size_t> todo, size_t devices,
                                int slots) {
  // Of each slot that a dialogue needs.
  std::vector<int64_t> needs;
  for (const size_t index : todo) {
    needs.insert(needs.end(), static_cast<size_t>(plan[index].slots), plan[index].frames);
  }
  std::sort(needs.begin(), needs.end(), std::greater<>());
  std::vector<int64_t> frames(static_cast<size_t>(std::max(slots, 0)), 1);
  for (size_t slot = 0; slot < frames.size() && slot * devices < needs.size(); ++slot) {
    frames[slot] = std::max<int64_t>(needs[slot * devices], 1);
  }
  // Devices that share the longest dialogues leave each other too few long slots for one that needs
  // several.
  for (const size_t index : todo) {
    const auto taken = static_cast<size_t>(plan[index].slots);
    for (size_t slot = 0; slot < std::min(taken, frames.size()); ++slot) {
      frames[slot] = std::max(frames[slot], plan[index].frames);
    }
  }
  return frames;
}

}  // namespace ppx::batch
