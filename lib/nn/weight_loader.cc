#include "nn/weight_loader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "kernels/parallel.h"

namespace ppx::nn {
namespace {

constexpr size_t kFaultsShown = 20;
// Weights that are quantised at once: what a device needs beside the model is a few times this.
constexpr int64_t kQuantisedAtOnce = 1 << 20;

std::string ShapeText(const std::vector<int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

// True where no number is an infinity or a NaN, that is where no exponent is all ones. Works on the
// stored bits: a tenth of the time of a conversion, at the speed of memory.
template <typename Bits>
bool AllFinite(std::span<const std::byte> data, Bits exponent_mask) {
  constexpr int64_t kBlock = 1 << 20;
  const auto count = static_cast<int64_t>(data.size() / sizeof(Bits));
  std::atomic<bool> finite{true};
  kernels::ParallelFor((count + kBlock - 1) / kBlock, [&](int64_t block) {
    if (!finite.load(std::memory_order_relaxed)) return;
    const int64_t end = std::min(count, (block + 1) * kBlock);
    const std::byte* at = data.data() + static_cast<size_t>(block * kBlock) * sizeof(Bits);
    unsigned bad = 0;
    for (int64_t i = block * kBlock; i < end; ++i, at += sizeof(Bits)) {
      Bits bits;
      std::memcpy(&bits, at, sizeof(bits));
      bad |= static_cast<unsigned>((bits & exponent_mask) == exponent_mask);
    }
    if (bad != 0) finite = false;
  });
  return finite;
}

bool AllFinite(const weights::TensorView& view) {
  switch (view.dtype) {
    case weights::DType::kF32:
      return AllFinite<uint32_t>(view.data, 0x7f800000U);
    case weights::DType::kBf16:
      return AllFinite<uint16_t>(view.data, uint16_t{0x7f80});
    case weights::DType::kF16:
      return AllFinite<uint16_t>(view.data, uint16_t{0x7c00});
    case weights::DType::kF64:
      return AllFinite<uint64_t>(view.data, 0x7ff0000000000000ULL);
    default:
      return true;
  }
}

// Every operation rounds as kernels/packed_matrix does, so the numbers are the same: hence no
// division by a scalar, which LibTorch replaces by a product on a GPU.
Linear Quantise(const at::Tensor& raw, const at::Device& device) {
  const auto options = at::TensorOptions().device(device);
  at::Tensor quantised = at::empty(raw.sizes(), options.dtype(at::kChar));
  at::Tensor scales = at::empty({raw.size(0)}, options.dtype(at::kFloat));
  const at::Tensor steps = at::full({1}, 127, options.dtype(at::kFloat));
  const int64_t piece = std::max<int64_t>(1, kQuantisedAtOnce / raw.size(1));
  for (int64_t first = 0; first < raw.size(0); first += piece) {
    const int64_t rows = std::min(piece, raw.size(0) - first);
    // Converted where it is used: fewer bytes are copied over.
    at::Tensor wide = raw.narrow(0, first, rows).to(device).to(at::kFloat);  // [rows, inputs]
    const auto [lowest, highest] = at::aminmax(wide, 1);
    const at::Tensor largest = at::maximum(lowest.neg(), highest);
    scales.narrow(0, first, rows).copy_(largest / steps);
    const at::Tensor inverse = (steps / largest).masked_fill_(largest.eq(0), 0);
    quantised.narrow(0, first, rows).copy_((wide * inverse.unsqueeze(1)).round_());
  }
  return {quantised, scales, at::Tensor()};
}

}  // namespace

at::ScalarType ToScalarType(weights::DType dtype) {
  switch (dtype) {
    case weights::DType::kF64:
      return at::kDouble;
    case weights::DType::kF32:
      return at::kFloat;
    case weights::DType::kF16:
      return at::kHalf;
    case weights::DType::kBf16:
      return at::kBFloat16;
    case weights::DType::kI64:
      return at::kLong;
    case weights::DType::kI32:
      return at::kInt;
    case weights::DType::kI16:
      return at::kShort;
    case weights::DType::kI8:
      return at::kChar;
    case weights::DType::kU8:
      return at::kByte;
    case weights::DType::kBool:
      return at::kBool;
  }
  base::ThrowInternal("unknown tensor type");
}

weights::DType FromScalarType(at::ScalarType type) {
  for (const auto dtype :
       {weights::DType::kF64, weights::DType::kF32, weights::DType::kF16, weights::DType::kBf16,
        weights::DType::kI64, weights::DType::kI32, weights::DType::kI16, weights::DType::kI8,
        weights::DType::kU8, weights::DType::kBool}) {
    if (ToScalarType(dtype) == type) return dtype;
  }
  base::ThrowInternal("a tensor type that safetensors does not know");
}

at::Tensor TensorOverView(const weights::TensorView& view) {
  const at::ScalarType type = ToScalarType(view.dtype);
  const auto options = at::TensorOptions().dtype(type);
  if (reinterpret_cast<uintptr_t>(view.data.data()) % weights::SizeOf(view.dtype) != 0) {
    at::Tensor copy = at::empty(view.shape, options);
    std::memcpy(copy.data_ptr(), view.data.data(), view.data.size());
    return copy;
  }
  // from_blob wants a mutable pointer; weights are never written to.
  return at::from_blob(const_cast<std::byte*>(view.data.data()), view.shape, options);
}

WeightLoader::WeightLoader(std::shared_ptr<const weights::SafetensorsFile> file, Options options)
    : file_(std::move(file)), options_(options) {}

std::vector<int64_t> WeightLoader::ShapeOf(const std::string& name) const {
  const weights::TensorView* view = file_->Find(name);
  return view == nullptr ? std::vector<int64_t>{} : view->shape;
}

const weights::TensorView* WeightLoader::Check(const std::string& name,
                                               const std::vector<int64_t>& shape) {
  const weights::TensorView* view = file_->Find(name);
  if (view == nullptr) {
    faults_.insert(fmt::format("{}: missing, expected shape {}", name, ShapeText(shape)));
  } else if (view->shape != shape) {
    faults_.insert(
        fmt::format("{}: shape {}, expected {}", name, ShapeText(view->shape), ShapeText(shape)));
  } else if (!at::isFloatingType(ToScalarType(view->dtype))) {
    faults_.insert(
        fmt::format("{}: type {}, expected a floating type", name, weights::Name(view->dtype)));
  } else {
    return view;
  }
  return nullptr;
}

at::Tensor WeightLoader::TakeRaw(const std::string& name, const std::vector<int64_t>& shape) {
  const weights::TensorView* view = Check(name, shape);
  if (view == nullptr) return at::zeros({1}).expand(shape);
  if (finite_.insert(name).second && !AllFinite(*view)) {
    faults_.insert(fmt::format("{}: holds numbers that are not finite", name));
  }
  return TensorOverView(*view);
}

at::Tensor WeightLoader::Place(const at::Tensor& raw) const {
  return raw.to(options_.device, options_.dtype).contiguous();
}

at::Tensor WeightLoader::Take(const std::string& name, const std::vector<int64_t>& shape) {
  return Place(TakeRaw(name, shape));
}

at::Tensor WeightLoader::TakeFloat(const std::string& name, const std::vector<int64_t>& shape) {
  return TakeRaw(name, shape).to(options_.device, at::kFloat).contiguous();
}

Linear WeightLoader::TakeLinear(const std::string& name, const std::vector<int64_t>& shape) {
  return TakeLinearRows(name, shape, 0, shape[0]);
}

Linear WeightLoader::TakeLinearRows(const std::string& name, const std::vector<int64_t>& shape,
                                    int64_t first, int64_t rows) {
  const int64_t inputs = shape[1];
  const std::string part =
      rows == shape[0] ? name : fmt::format("{}[{}:{}]", name, first, first + rows);
  if (options_.store != nullptr) {
    auto ready = options_.store->Find(part, rows, inputs);
    if (ready && Check(name, shape) != nullptr) return Linear(std::move(*ready));
  }
  at::Tensor raw = TakeRaw(name, shape).narrow(0, first, rows);
  const auto release = [&] {
    if (const weights::TensorView* view = file_->Find(name)) file_->Release(*view);
  };
  if (options_.int8) {
    Linear quantised = Quantise(raw, options_.device);
    release();
    return quantised;
  }
  if (options_.matrices_on_host) {
    // Looked through above; it comes back into memory when it is used.
    release();
    return Linear(raw.to(options_.dtype).contiguous());
  }
  if (!options_.form) return Linear(Place(raw));
  raw = (raw.scalar_type() == at::kBFloat16 ? raw : raw.to(at::kFloat)).contiguous();
  const auto type = raw.scalar_type() == at::kFloat ? kernels::MatrixSource::Type::kF32
                                                    : kernels::MatrixSource::Type::kBf16;
  kernels::PackedMatrix packed(
      *options_.form,
      {.data = raw.const_data_ptr(), .type = type, .outputs = rows, .inputs = inputs});
  release();
  if (options_.store != nullptr) options_.store->Add(part, packed);
  return Linear(std::move(packed));
}

Linear WeightLoader::MakeLinear(const at::Tensor& weight, const at::Tensor& bias) const {
  const at::Tensor rows = weight.contiguous();
  if (!options_.form) return Linear(rows, bias);
  return Linear(kernels::PackedMatrix(kernels::WeightForm::kF32, {.data = rows.const_data_ptr(),
                                                                  .outputs = rows.size(0),
                                                                  .inputs = rows.size(1)}),
                bias);
}

Linear WeightLoader::TakeLinearOnHost(const std::string& name, const std::vector<int64_t>& shape) {
  const auto pinned = [&](const at::Tensor& host) {
    return options_.device.is_cuda() ? host.pin_memory() : host;
  };
  if (options_.int8) {
    const Linear matrix = TakeLinear(name, shape);
    return {pinned(matrix.weight().to(at::kCPU)), matrix.scales(), at::Tensor()};
  }
  return Linear(pinned(TakeRaw(name, shape).to(options_.dtype).contiguous()));
}

void WeightLoader::Finish() const {
  if (faults_.empty()) return;
  std::string text = fmt::format(
      "{}: {} of its tensors do not fit the configuration:", file_->path(), faults_.size());
  size_t shown = 0;
  for (const std::string& fault : faults_) {
    if (shown == kFaultsShown) break;
    text += (shown++ == 0 ? " " : "; ") + fault;
  }
  if (faults_.size() > kFaultsShown) {
    text += fmt::format("; and {} more", faults_.size() - kFaultsShown);
  }
  text += ". Is config.json the one of these weights?";
  base::ThrowBadInput(text);
}

}  // namespace ppx::nn
