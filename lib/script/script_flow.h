// lib/script/script_flow.h: where steps lead to. Inside this library only.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "script/dialogue_script.h"

namespace ppx::script {

// Steps that lead to each other, the first one again, without any time passing between them; no
// value where there is no such circle. The first of it is the first in the order of `steps`.
std::optional<std::vector<size_t>> CircleWithoutTime(std::span<const Step> steps);

}  // namespace ppx::script
