// lib/engine/quantisation.h: what a model loses with its weights in fewer bits.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "kernels/packed_matrix.h"
#include "lm/lm_model.h"

namespace ppx::engine {

// What matrices are kept in: "int8" or "int4" where `quantize` says so, else on the CPU packed as
// `dtype`. Nothing: as tensors of `dtype`, on a GPU, where LibTorch's own products come near the
// memory's speed. Throws base::Error (kUsage) for what the device does not have.
std::optional<kernels::WeightForm> MatrixForm(const at::Device& device, at::ScalarType dtype,
                                              const std::string& quantize);

// Two models on the same inputs: dialogues of a few frames that the quantised one has spoken with
// itself, every token given to both. A position is one step of one dialogue.
struct QuantisationDamage {
  int positions = 0;
  std::string reference;  // the type of the other's weights: "bf16" or "f32"
  // Means over positions (and codebooks).
  double text_cosine = 0;  // between the logits, 1 where they point the same way
  double audio_cosine = 0;
  double text_agreement = 0;  // part of positions where both find the same token likeliest
  double audio_agreement = 0;
};

// Both models of one configuration, on one device. Each weight of the reference is read once;
// `release` is called again and again, when what was read of them is needed no more.
QuantisationDamage MeasureDamage(const lm::LmModel& quantised, const lm::LmModel& reference,
                                 std::string reference_type,
                                 const std::function<void()>& release = {});

// Numbers of 5 decimals: the last bits are the machine's.
nlohmann::ordered_json ToJson(const QuantisationDamage& damage);
// Nothing where the text is not what ToJson gives.
std::optional<QuantisationDamage> ParseDamage(const std::string& json);

}  // namespace ppx::engine
