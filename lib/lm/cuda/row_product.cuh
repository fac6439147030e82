// lib/lm/cuda/row_product.cuh: the product of few rows with a matrix, and what a layer does before
// and after it. With few rows a product is as fast as the weights are read: once for all rows, in
// words of 16 bytes, several of them on their way for each thread.
#pragma once

#include <cmath>

#include "lm/cuda/kernel.cuh"

namespace ppx::lm::cuda {

// More rows are better served by tensor cores.
inline constexpr int kMostRows = 8;
// The shared memory for rows that are normalised on the way in, at most.
inline constexpr int kNormedBytes = 32 << 10;

// What one load brings: numbers of four, two or one byte. They stay together until they are used,
// so that they take four registers.
struct alignas(16) Word {
  uint32_t bits[4];
};
template <class W>
inline constexpr int kInWord = 16 / static_cast<int>(sizeof(W));

// Number i of a word.
template <class W>
PPX_DEVICE float InWord(const Word& word, int i);
template <>
PPX_DEVICE float InWord<float>(const Word& word, int i) {
  return FloatOfBits(word.bits[i]);
}
template <>
PPX_DEVICE float InWord<Bf16>(const Word& word, int i) {
  const uint32_t two = word.bits[i / 2];
  return FloatOfBits(i % 2 == 0 ? two << 16 : two & 0xffff0000U);
}
// Behind the mantissa of 2^23: converting instructions run at a quarter of the others' rate.
template <>
PPX_DEVICE float InWord<int8_t>(const Word& word, int i) {
  const uint32_t above = (word.bits[i / 4] ^ 0x80808080U) >> 8 * (i % 4) & 0xffU;  // by 128
  return FloatOfBits(0x4b000000U | above) - 8388736.0F;
}

// The word at a multiple of 16 bytes.
PPX_DEVICE Word LoadWord(const void* from) {
#ifdef __CUDACC__
  return *static_cast<const Word*>(from);
#else
  Word word;
  memcpy(&word, from, sizeof word);
  return word;
#endif
}

// The same of what is read once in the kernel's life and written by nobody; it takes no place in
// L1.
PPX_DEVICE Word LoadOnce(const void* from) {
#ifdef __CUDACC__
  Word word;
  asm("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
      : "=r"(word.bits[0]), "=r"(word.bits[1]), "=r"(word.bits[2]), "=r"(word.bits[3])
      : "l"(from));
  return word;
#else
  return LoadWord(from);
#endif
}

// output[r, o] = sum over i of x[r, i] * weights[o, i] * scales[o], in f32 and stored as a T; with
//   alpha   of RMSNorm(x), as norm.cuh computes it
//   gated   silu(output[r, o]) * output[r, o + outputs / 2], as gate.cuh computes it
//   addend  the product is added to it, as norm.cuh adds a branch
//
// A unit is four outputs and one of `split` interleaved parts of the inputs; a group of lanes takes
// one at a time, for all rows. The parts of an output are in one tile, so a block merges them. The
// order of a sum depends on inputs and split alone: neither on the rows nor on the blocks.
template <class T, class W, int kRows>
struct RowProductKernel {
  const T* x;           // [rows, inputs]
  const float* alpha;   // [inputs], or null: x as it is; rows * inputs T are kNormedBytes at most
  float eps;            // of the norm
  const W* weights;     // [outputs, inputs]
  const float* scales;  // [outputs], or null: 1
  const T* addend;      // [.., outputs], or null; may be `output` where it has no rows of its own
  const int32_t* addend_rows;  // row r adds row addend_rows[r * addend_stride], nothing where that
  int addend_stride;           // is negative; null: row r
  T* output;                   // [rows, outputs], gated: [rows, outputs / 2]
  int rows;                    // at most kRows
  int inputs;                  // whole words, and rows of x begin at multiples of 16 bytes
  int outputs;
  bool gated;
  int split;   // a power of two, at most kUnits
  int blocks;  // that share the tiles

  static constexpr int kThreads = 512;
  static constexpr int kMinBlocks = kRows == 1 ? 2 : 1;
  static constexpr int kUnits = 32;   // of a tile
  static constexpr int kOutputs = 4;  // of a unit
  struct Shared {
    alignas(16) T normed[kNormedBytes / sizeof(T)];
    float squares[kMaxGroups][kRows];
    float sums[kUnits][kOutputs][kRows];
  };

  static bool NormFits(int rows, int inputs) {
    return int64_t{rows} * inputs * static_cast<int>(sizeof(T)) <= kNormedBytes;
  }
  // The smallest split that gives `tiles_wanted`, so that small matrices too fill a GPU.
  static int Split(int outputs, int inputs, int tiles_wanted) {
    constexpr int kLanes = 16;
    const int words = inputs / kInWord<W>;
    int split = 1;
    while (split < kUnits && 2 * split * kLanes <= words &&
           (outputs + kOutputs - 1) / kOutputs * split < tiles_wanted * kUnits) {
      split *= 2;
    }
    return split;
  }
  PPX_HOST_DEVICE int Tiles() const { return (Columns() + ColumnsOfTile() - 1) / ColumnsOfTile(); }

  int64_t Blocks() const { return blocks; }

  template <class Team>
  PPX_DEVICE void operator()(Team team, int64_t block, Shared& shared) const {
    if (alpha != nullptr) Normalise(team, shared);
    for (int tile = static_cast<int>(block); tile < Tiles(); tile += blocks) {
      const int first = tile * ColumnsOfTile();
      for (int unit = team.group(); unit < kUnits; unit += team.groups()) {
        const int column = first + unit / split * ColumnsOfUnit();
        if (column >= Columns()) continue;
        float sums[kOutputs][kRows] = {};
        if (alpha != nullptr) {
          Add(team, shared.normed, column, unit % split, sums);
        } else {
          Add(team, x, column, unit % split, sums);
        }
        PPX_UNROLL
        for (int m = 0; m < kOutputs; ++m) {
          PPX_UNROLL
          for (int r = 0; r < kRows; ++r) {
            const float sum = team.LaneSum(sums[m][r]);
            if (team.lane() == 0) shared.sums[unit][m][r] = sum;
          }
        }
      }
      team.Sync();
      for (int i = team.rank(); i < ColumnsOfTile() * rows; i += team.size()) {
        const int within = i % ColumnsOfTile();
        if (first + within < Columns()) Store(first, within, i / ColumnsOfTile(), shared);
      }
      team.Sync();
    }
  }

  // Asks for the weights of a product to come, this block's share of `sharers`.
  template <class Team>
  PPX_DEVICE void Prefetch(Team team, int64_t block, int64_t sharers) const {
#ifdef __CUDACC__
    constexpr int kLine = 128;
    const int64_t lines = int64_t{outputs} * inputs * static_cast<int>(sizeof(W)) / kLine;
    const char* base = reinterpret_cast<const char*>(weights);
    for (int64_t line = lines * block / sharers + team.rank(); line < lines * (block + 1) / sharers;
         line += team.size()) {
      asm volatile("prefetch.global.L2 [%0];" ::"l"(base + line * kLine));
    }
#else
    (void)team, (void)block, (void)sharers;
#endif
  }

 private:
  // Words of each output that are asked for at once; as many as the registers allow.
  static constexpr int kAhead = kRows > 4 && sizeof(W) == 1 ? 1 : 2;

  PPX_HOST_DEVICE int Columns() const { return gated ? outputs / 2 : outputs; }
  PPX_HOST_DEVICE int ColumnsOfUnit() const { return gated ? kOutputs / 2 : kOutputs; }
  PPX_HOST_DEVICE int ColumnsOfTile() const { return kUnits / split * ColumnsOfUnit(); }

  // The matrix's row behind output m of the unit that begins at a column; the last one again where
  // there are no more.
  PPX_DEVICE int MatrixRow(int column, int m) const {
    const int wanted = column + (gated ? m % 2 : m);
    const int last = Columns() - 1;
    return (wanted < last ? wanted : last) + (gated && m >= 2 ? Columns() : 0);
  }

  template <class Team>
  PPX_DEVICE void Normalise(Team team, Shared& shared) const {
    float squares[kRows] = {};
    PPX_UNROLL
    for (int r = 0; r < kRows; ++r) {
      if (r >= rows) continue;
      for (int c = team.rank(); c < Chunks(inputs); c += team.size()) {
        const Chunk<T> chunk = LoadChunk(x + int64_t{r} * inputs, c, inputs);
        for (int i = 0; i < kChunk; ++i) squares[r] += ToFloat(chunk.at[i]) * ToFloat(chunk.at[i]);
      }
    }
    BlockSum(team, squares, shared.squares);
    PPX_UNROLL
    for (int r = 0; r < kRows; ++r) {
      if (r >= rows) continue;
      const float inverse = 1.0F / sqrtf(squares[r] / static_cast<float>(inputs) + eps);
      for (int c = team.rank(); c < Chunks(inputs); c += team.size()) {
        Chunk<T> chunk = LoadChunk(x + int64_t{r} * inputs, c, inputs);
        const Chunk<float> scale = LoadChunk(alpha, c, inputs);
        for (int i = 0; i < kChunk; ++i) {
          chunk.at[i] = FromFloat<T>(ToFloat(chunk.at[i]) * (scale.at[i] * inverse));
        }
        StoreChunk(chunk, shared.normed + r * inputs, c, inputs);
      }
    }
    team.Sync();
  }

  template <class Team>
  PPX_DEVICE void Add(Team team, const T* activations, int column, int part,
                      float (&sums)[kOutputs][kRows]) const {
    constexpr int kCount = kInWord<W>;
    constexpr int kBeside = kCount / kInWord<T>;  // words of activations to a word of weights
    const int words = inputs / kCount;
    const int row_words = inputs / kInWord<T>;
    const int step = split * Team::kLanes;
    // Places in words, which take half the registers of pointers.
    const auto* matrix = reinterpret_cast<const Word*>(weights);
    int matrix_rows[kOutputs];
    PPX_UNROLL
    for (int m = 0; m < kOutputs; ++m) matrix_rows[m] = MatrixRow(column, m) * words;
    for (int first = part * Team::kLanes + team.lane(); first < words; first += kAhead * step) {
      Word word[kAhead][kOutputs] = {};
      PPX_UNROLL
      for (int a = 0; a < kAhead; ++a) {
        PPX_UNROLL
        for (int m = 0; m < kOutputs; ++m) {
          if (first + a * step < words) {
            word[a][m] = LoadOnce(matrix + (matrix_rows[m] + first + a * step));
          }
        }
      }
      PPX_UNROLL
      for (int a = 0; a < kAhead; ++a) {
        if (first + a * step >= words) continue;
        const T* from = activations + (first + a * step) * kCount;
        // Eight rows need so many registers that numbers are taken out of few words at a time.
        PPX_UNROLL
        for (int b = 0; b < kBeside; ++b) {
          const auto* beside = reinterpret_cast<const Word*>(from) + b;
          PPX_UNROLL
          for (int r = 0; r < kRows; ++r) {
            const Word row = LoadWord(beside);
            // A row that is not there is the last one again; its sums are not stored.
            if (r + 1 < rows) beside += row_words;
            PPX_UNROLL
            for (int i = 0; i < kInWord<T>; ++i) {
              PPX_UNROLL
              for (int m = 0; m < kOutputs; ++m) {
                sums[m][r] += InWord<T>(row, i) * InWord<W>(word[a][m], b * kInWord<T> + i);
              }
            }
          }
        }
      }
    }
  }

  // One output of a tile, merged from the parts of its inputs.
  PPX_DEVICE void Store(int first, int within, int row, const Shared& shared) const {
    const int unit = within / ColumnsOfUnit() * split;
    const int m = within % ColumnsOfUnit();
    const int column = first + within;
    float value = Merged(unit, m, row, column, shared);
    if (gated) {
      const float silu = Stored<T>(value / (1.0F + expf(-value)));
      value = Stored<T>(silu * Merged(unit, m + kOutputs / 2, row, column + Columns(), shared));
    }
    if (addend != nullptr) {
      const int64_t from = addend_rows == nullptr ? row : addend_rows[row * addend_stride];
      if (from >= 0) value = ToFloat(addend[from * Columns() + column]) + value;
    }
    output[int64_t{row} * Columns() + column] = FromFloat<T>(value);
  }

  PPX_DEVICE float Merged(int unit, int m, int row, int matrix_row, const Shared& shared) const {
    float sum = 0;
    for (int part = 0; part < split; ++part) sum += shared.sums[unit + part][m][row];
    return Stored<T>(scales == nullptr ? sum : sum * scales[matrix_row]);
  }
};

}  // namespace ppx::lm::cuda
