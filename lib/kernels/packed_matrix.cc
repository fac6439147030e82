#include "kernels/packed_matrix.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "kernels/number_formats.h"
#include "kernels/panel.h"
#include "kernels/parallel.h"

namespace ppx::kernels {
namespace {

// A row of the source as floats, zeros behind its end.
void ReadRow(const MatrixSource& source, int64_t output, std::vector<float>& row) {
  std::fill(row.begin(), row.end(), 0.0F);
  if (output >= source.outputs) return;
  if (source.type == MatrixSource::Type::kF32) {
    const float* from = static_cast<const float*>(source.data) + output * source.inputs;
    std::copy(from, from + source.inputs, row.begin());
  } else {
    const uint16_t* from = static_cast<const uint16_t*>(source.data) + output * source.inputs;
    std::transform(from, from + source.inputs, row.begin(), FromBf16);
  }
}

float MaxMagnitude(const float* x, int64_t n) {
  float highest = 0;
  for (int64_t i = 0; i < n; ++i) highest = std::max(highest, std::fabs(x[i]));
  return highest;
}

int RoundedClamped(float x, int lowest, int highest) {
  return std::clamp(static_cast<int>(std::lrintf(x)), lowest, highest);
}

// The value that is largest in magnitude goes to -8, the one end that reaches further.
float Int4Scale(const float* x) {
  float extreme = 0;
  for (int64_t i = 0; i < kInt4Group; ++i) {
    if (std::fabs(x[i]) > std::fabs(extreme)) extreme = x[i];
  }
  return FromHalf(ToHalf(extreme / -8));
}

// Places of one column in a panel's bytes.
class Column {
 public:
  Column(WeightForm form, int64_t columns, int64_t inputs, int64_t column)
      : form_(form), columns_(columns), padded_(PaddedInputs(form, inputs)), column_(column) {}

  void Write(const std::vector<float>& row, std::byte* panel) const {
    switch (form_) {
      case WeightForm::kF32:
        for (int64_t i = 0; i < padded_; ++i) Put(panel, (i * columns_ + column_) * 4, row[Z(i)]);
        break;
      case WeightForm::kBf16:
        for (int64_t i = 0; i < padded_; ++i) {
          Put(panel, ((i / 2 * columns_ + column_) * 2 + i % 2) * 2, ToBf16(row[Z(i)]));
        }
        break;
      case WeightForm::kInt8: {
        const float highest = MaxMagnitude(row.data(), padded_);
        const float inverse = highest > 0 ? 127 / highest : 0;
        for (int64_t i = 0; i < padded_; ++i) {
          const int q = RoundedClamped(row[Z(i)] * inverse, -127, 127);
          Put(panel, (i / 4 * columns_ + column_) * 4 + i % 4, static_cast<uint8_t>(q + 128));
        }
        Put(panel, padded_ * columns_ + column_ * 4, highest / 127);
        break;
      }
      case WeightForm::kInt4:
        for (int64_t group = 0; group < padded_ / kInt4Group; ++group)
          WriteGroup(row, group, panel);
        break;
    }
  }

  void Read(const std::byte* panel, std::vector<float>& row) const {
    switch (form_) {
      case WeightForm::kF32:
        for (int64_t i = 0; i < padded_; ++i) {
          row[Z(i)] = Get<float>(panel, (i * columns_ + column_) * 4);
        }
        break;
      case WeightForm::kBf16:
        for (int64_t i = 0; i < padded_; ++i) {
          row[Z(i)] =
              FromBf16(Get<uint16_t>(panel, ((i / 2 * columns_ + column_) * 2 + i % 2) * 2));
        }
        break;
      case WeightForm::kInt8: {
        const auto scale = Get<float>(panel, padded_ * columns_ + column_ * 4);
        for (int64_t i = 0; i < padded_; ++i) {
          const int q = Get<uint8_t>(panel, (i / 4 * columns_ + column_) * 4 + i % 4) - 128;
          row[Z(i)] = scale * static_cast<float>(q);
        }
        break;
      }
      case WeightForm::kInt4:
        for (int64_t i = 0; i < padded_; ++i) {
          const int64_t group = GroupOffset(i / kInt4Group);
          const float scale = FromHalf(Get<uint16_t>(panel, group + column_ * 2));
          const auto byte = Get<uint8_t>(panel, group + NibbleOffset(i % kInt4Group));
          const int q = (i % 8 < 4 ? byte & 15 : byte >> 4) - 8;
          row[Z(i)] = scale * static_cast<float>(q);
        }
        break;
    }
  }

 private:
  static size_t Z(int64_t i) { return static_cast<size_t>(i); }
  template <typename T>
  static void Put(std::byte* panel, int64_t at, T value) {
    std::memcpy(panel + at, &value, sizeof(value));
  }
  template <typename T>
  static T Get(const std::byte* panel, int64_t at) {
    T value;
    std::memcpy(&value, panel + at, sizeof(value));
    return value;
  }

  int64_t GroupOffset(int64_t group) const {
    return InputBytes(WeightForm::kInt4, columns_, group * kInt4Group);
  }
  // Of the byte that holds input `i` of a group, from the group's beginning.
  int64_t NibbleOffset(int64_t i) const {
    return columns_ * 2 + (i / 8 * columns_ + column_) * 4 + i % 4;
  }

  void WriteGroup(const std::vector<float>& row, int64_t group, std::byte* panel) const {
    const float* x = row.data() + group * kInt4Group;
    const float scale = Int4Scale(x);
    const float inverse = scale != 0 ? 1 / scale : 0;
    const int64_t at = GroupOffset(group);
    Put(panel, at + column_ * 2, ToHalf(scale));
    const auto quantised = [&](int64_t i) {
      return static_cast<unsigned>(RoundedClamped(x[i] * inverse, -8, 7) + 8);
    };
    for (int64_t i = 0; i < kInt4Group; ++i) {
      if (i % 8 >= 4) continue;
      Put(panel, at + NibbleOffset(i),
          static_cast<uint8_t>(quantised(i) | (quantised(i + 4) << 4)));
    }
  }

  WeightForm form_;
  int64_t columns_;
  int64_t padded_;
  int64_t column_;
};

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
  const int64_t panels = (source.outputs + kPanel - 1) / kPanel;
  ParallelFor(panels, [&](int64_t panel) {
    const int64_t first = panel * kPanel;
    const int64_t columns = PanelColumns(source.outputs, first);
    std::byte* at = bytes + panel * PanelBytes(form, kPanel, source.inputs);
    std::vector<float> row(static_cast<size_t>(PaddedInputs(form, source.inputs)));
    for (int64_t column = 0; column < columns; ++column) {
      ReadRow(source, first + column, row);
      Column(form, columns, source.inputs, column).Write(row, at);
    }
  });
}

void PackedMatrix::Unpack(int64_t output, float* row) const {
  const int64_t first = output / kPanel * kPanel;
  std::vector<float> padded(static_cast<size_t>(PaddedInputs(form_, inputs_)));
  Column(form_, PanelColumns(outputs_, first), inputs_, output - first)
      .Read(bytes_ + output / kPanel * PanelBytes(form_, kPanel, inputs_), padded);
  std::copy(padded.begin(), padded.begin() + inputs_, row);
}

}  // namespace ppx::kernels
