// lib/batch/slot_frames.h: how long the slots of a device have to be.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "batch/plan.h"

namespace ppx::batch {

// The frames of each of a device's `slots` slots, the longest first, where `devices` of them share
// the plan's dialogues `todo`: those of the longest dialogues. So the longest run side by side, who
// follows in a slot is mostly shorter, and each dialogue alone fits every device that has as many
// slots as it needs. A slot that is too many for that has one frame.
std::vector<int64_t> SlotFrames(const Plan& plan, std::span<const size_t> todo, size_t devices,
                                int slots);

}  // namespace ppx::batch
