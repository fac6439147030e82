#include "kernels/packed_matrix.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "kernels/number_formats.h"
#include "kernels/panel.h"
#include "kernels/parallel.h"

namespace ppx::kernels {
namespace {

size_t Index(int64_t i) { return static_cast<size_t>(i); }

// Rounds to the nearest, ties to even: magnitudes below 2^22. Unlike lrintf it becomes one
// instruction for several numbers.
int32_t Rounded(float x) {
  constexpr float kShift = 0x1.8p23F;
  return std::bit_cast<int32_t>(x + kShift) - std::bit_cast<int32_t>(kShift);
}

float MaxMagnitude(const float* x, int64_t n) {
  float highest = 0;
  for (int64_t i = 0; i < n; ++i) highest = std::max(highest, std::fabs(x[i]));
  return highest;
}

// The value that is largest in magnitude goes to -8, the one end that reaches further.
float Int4Scale(const float* x) {
  float lowest = 0;
  float highest = 0;
  for (int64_t i = 0; i < kInt4Group; ++i) {
    lowest = std::min(lowest, x[i]);
    highest = std::max(highest, x[i]);
  }
  const float extreme = -lowest > highest ? lowest : highest;
  return FromHalf(ToHalf(extreme / -8));
}

// Encodes one output after another: its inputs in units of 4 bytes, and its scales.
class RowEncoder {
 public:
  RowEncoder(WeightForm form, const MatrixSource& source)
      : form_(form), source_(source), row_(Index(PaddedInputs(form, source.inputs))) {}

  int64_t units() const { return static_cast<int64_t>(row_.size()) / UnitInputs(form_); }
  // Of kInt8 one, of kInt4 one a group.
  const std::vector<float>& scales() const { return scales_; }

  void Encode(int64_t output, uint32_t* units) {
    scales_.clear();
    if (form_ == WeightForm::kBf16 && source_.type == MatrixSource::Type::kBf16 &&
        output < source_.outputs && source_.inputs % 2 == 0) {
      const auto* from = static_cast<const uint16_t*>(source_.data) + output * source_.inputs;
      std::memcpy(units, from, Index(source_.inputs) * sizeof(uint16_t));
      return;
    }
    Read(output);
    switch (form_) {
      case WeightForm::kF32:
        std::memcpy(units, row_.data(), row_.size() * sizeof(float));
        break;
      case WeightForm::kBf16:
        for (size_t i = 0; i < row_.size() / 2; ++i) {
          units[i] = ToBf16(row_[2 * i]) | (uint32_t{ToBf16(row_[2 * i + 1])} << 16);
        }
        break;
      case WeightForm::kInt8:
        EncodeInt8(units);
        break;
      case WeightForm::kInt4:
        EncodeInt4(units);
        break;
    }
  }

 private:
  // As floats, zeros behind the end of the matrix.
  void Read(int64_t output) {
    std::fill(row_.begin(), row_.end(), 0.0F);
    if (output >= source_.outputs) return;
    if (source_.type == MatrixSource::Type::kF32) {
      const float* from = static_cast<const float*>(source_.data) + output * source_.inputs;
      std::copy(from, from + source_.inputs, row_.begin());
    } else {
      const auto* from = static_cast<const uint16_t*>(source_.data) + output * source_.inputs;
      std::transform(from, from + source_.inputs, row_.begin(), FromBf16);
    }
  }

  void EncodeInt8(uint32_t* units) {
    const float highest = MaxMagnitude(row_.data(), static_cast<int64_t>(row_.size()));
    const float inverse = highest > 0 ? 127 / highest : 0;
    scales_.push_back(highest / 127);
    for (size_t unit = 0; unit < row_.size() / 4; ++unit) {
      uint32_t bytes = 0;
      for (size_t i = 0; i < 4; ++i) {
        bytes |= static_cast<uint32_t>(Rounded(row_[4 * unit + i] * inverse) + 128) << (8 * i);
      }
      units[unit] = bytes;
    }
  }

  void EncodeInt4(uint32_t* units) {
    constexpr size_t kUnits = kInt4Group / 8;
    for (size_t begin = 0; begin < row_.size(); begin += kInt4Group, units += kUnits) {
      const float* x = row_.data() + begin;
      const float scale = Int4Scale(x);
      const float inverse = scale != 0 ? 1 / scale : 0;
      scales_.push_back(scale);
      std::array<uint32_t, kInt4Group> q;
      for (size_t i = 0; i < q.size(); ++i) {
        q[i] = static_cast<uint32_t>(std::clamp(Rounded(x[i] * inverse), -8, 7) + 8);
      }
      for (size_t unit = 0; unit < kUnits; ++unit) {
        uint32_t bytes = 0;
        for (size_t i = 0; i < 4; ++i) {
          bytes |= (q[8 * unit + i] | (q[8 * unit + 4 + i] << 4)) << (8 * i);
        }
        units[unit] = bytes;
      }
    }
  }

  WeightForm form_;
  MatrixSource source_;
  std::vector<float> row_;
  std::vector<float> scales_;
};

template <typename T>
void Put(std::byte* to, int64_t index, T value) {
  std::memcpy(to + index * static_cast<int64_t>(sizeof(T)), &value, sizeof(value));
}

template <typename T>
T Get(const std::byte* from, int64_t index) {
  T value;
  std::memcpy(&value, from + index * static_cast<int64_t>(sizeof(T)), sizeof(value));
  return value;
}

// Where unit `unit` of a panel's columns begins.
int64_t UnitOffset(WeightForm form, int64_t columns, int64_t unit) {
  if (form != WeightForm::kInt4) return unit * columns * 4;
  constexpr int64_t kUnits = kInt4Group / 8;
  return InputBytes(form, columns, unit / kUnits * kInt4Group) + columns * (2 + unit % kUnits * 4);
}

void PackPanel(WeightForm form, const MatrixSource& source, int64_t first, std::byte* panel) {
  const int64_t columns = PanelColumns(source.outputs, first);
  const int64_t scales_at = InputBytes(form, columns, PaddedInputs(form, source.inputs));
  RowEncoder encoder(form, source);
  // Rows a line further apart than a power of two: otherwise all of them would want the same place
  // in the first cache.
  const int64_t stride = encoder.units() + 16;
  std::vector<uint32_t> rows(Index(columns * stride));
  for (int64_t column = 0; column < columns; ++column) {
    encoder.Encode(first + column, rows.data() + column * stride);
    for (size_t i = 0; i < encoder.scales().size(); ++i) {
      if (form == WeightForm::kInt8) {
        Put(panel + scales_at, column, encoder.scales()[i]);
      } else {
        Put(panel + InputBytes(form, columns, static_cast<int64_t>(i) * kInt4Group), column,
            ToHalf(encoder.scales()[i]));
      }
    }
  }
  for (int64_t unit = 0; unit < encoder.units(); ++unit) {
    std::byte* to = panel + UnitOffset(form, columns, unit);
    const uint32_t* from = rows.data() + unit;
    for (int64_t column = 0; column < columns; ++column) Put(to, column, from[column * stride]);
  }
}

// Input `i` of a column.
float Decode(WeightForm form, int64_t columns, int64_t inputs, const std::byte* panel,
             int64_t column, int64_t i) {
  const int64_t in_unit = i % UnitInputs(form);
  const std::byte* unit = panel + UnitOffset(form, columns, i / UnitInputs(form)) + column * 4;
  switch (form) {
    case WeightForm::kF32:
      return Get<float>(unit, 0);
    case WeightForm::kBf16:
      return FromBf16(Get<uint16_t>(unit, in_unit));
    case WeightForm::kInt8: {
      const std::byte* scales = panel + InputBytes(form, columns, PaddedInputs(form, inputs));
      return Get<float>(scales, column) * static_cast<float>(Get<uint8_t>(unit, in_unit) - 128);
    }
    case WeightForm::kInt4: {
      const auto byte = Get<uint8_t>(unit, in_unit % 4);
      const std::byte* scales = panel + InputBytes(form, columns, i / kInt4Group * kInt4Group);
      return FromHalf(Get<uint16_t>(scales, column)) *
             static_cast<float>((in_unit < 4 ? byte & 15 : byte >> 4) - 8);
    }
  }
  return 0;
}

}  // namespace

const char* Name(WeightForm form) {
  switch (form) {
    case WeightForm::kF32:
      return "f32";
    case WeightForm::kBf16:
      return "bf16";
    case WeightForm::kInt8:
      return "int8";
    case WeightForm::kInt4:
      return "int4";
  }
  return "";
}

PackedMatrix::PackedMatrix(WeightForm form, const MatrixSource& source)
    : form_(form), outputs_(source.outputs), inputs_(source.inputs) {
  auto buffer = std::make_shared<HostBuffer>(size_bytes());
  Pack(form, source, buffer->data());
  bytes_ = buffer->data();
  owner_ = std::move(buffer);
}

PackedMatrix::PackedMatrix(WeightForm form, int64_t outputs, int64_t inputs, const std::byte* bytes,
                           std::shared_ptr<const void> owner)
    : form_(form), outputs_(outputs), inputs_(inputs), bytes_(bytes), owner_(std::move(owner)) {}

size_t PackedMatrix::Bytes(WeightForm form, int64_t outputs, int64_t inputs) {
  const int64_t whole = outputs / kPanel;
  int64_t bytes = whole * PanelBytes(form, kPanel, inputs);
  if (outputs % kPanel != 0) {
    bytes += PanelBytes(form, PanelColumns(outputs, whole * kPanel), inputs);
  }
  return static_cast<size_t>(bytes);
}

void PackedMatrix::Pack(WeightForm form, const MatrixSource& source, std::byte* bytes) {
  const int64_t panels = Groups(source.outputs, kPanel);
  ParallelFor(panels, [&](int64_t panel) {
    PackPanel(form, source, panel * kPanel,
              bytes + panel * PanelBytes(form, kPanel, source.inputs));
  });
}

void PackedMatrix::Unpack(int64_t output, float* row) const {
  const int64_t first = output / kPanel * kPanel;
  const std::byte* panel = bytes_ + output / kPanel * PanelBytes(form_, kPanel, inputs_);
  for (int64_t i = 0; i < inputs_; ++i) {
    row[i] = Decode(form_, PanelColumns(outputs_, first), inputs_, panel, output - first, i);
  }
}

}  // namespace ppx::kernels
