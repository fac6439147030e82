#include "codec/cuda/codec_program.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace ppx::codec {
namespace {

float* Data(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.data_ptr<float>() : nullptr;
}

// Memory for what passes from one operation to another. It is taken and given back in the order of
// the operations, so that those who use the same at different times share it.
class Workspace {
 public:
  explicit Workspace(const at::TensorOptions& options) : options_(options) {}

  at::Tensor Take(int64_t rows, int64_t width) {
    const int64_t numbers = rows * width;
    Piece* best = nullptr;
    for (Piece& piece : pieces_) {
      if (piece.taken || piece.memory.numel() < numbers) continue;
      if (best == nullptr || piece.memory.numel() < best->memory.numel()) best = &piece;
    }
    if (best == nullptr) best = &pieces_.emplace_back(at::zeros({numbers}, options_));
    best->taken = true;
    return best->memory.narrow(0, 0, numbers).view({rows, width});
  }

  void Give(const at::Tensor& taken) {
    for (Piece& piece : pieces_) {
      if (piece.memory.data_ptr() == taken.data_ptr()) piece.taken = false;
    }
  }

  std::vector<at::Tensor> All() const {
    std::vector<at::Tensor> all;
    for (const Piece& piece : pieces_) all.push_back(piece.memory);
    return all;
  }

 private:
  struct Piece {
    explicit Piece(at::Tensor zeros) : memory(std::move(zeros)) {}
    at::Tensor memory;
    bool taken = false;
  };
  at::TensorOptions options_;
  std::vector<Piece> pieces_;
};

}  // namespace

FrameRows::FrameRows(void* memory, int row_count)
    : rows(row_count),
      slots(static_cast<int32_t*>(memory)),
      positions(slots + rows),
      starts(positions + rows),
      frame(starts + rows) {}

void CodecProgram::Product::Run() const {
  at::Tensor result = out;
  if (add) {
    at::addmm_out(result, out, x, weight);
  } else if (bias.defined()) {
    at::addmm_out(result, bias, x, weight);
  } else {
    at::mm_out(result, x, weight);
  }
}

class CodecProgram::Builder {
 public:
  // A signal is [rows * steps, channels].
  struct Signal {
    at::Tensor values;
    int64_t steps = 0;
  };

  Builder(nn::SlotState& state, at::Device device, int64_t width)
      : state_(state),
        options_(at::TensorOptions().dtype(at::kFloat).device(device)),
        workspace_(options_),
        program_(new CodecProgram()) {
    program_->rows_ = state.slots();
    program_->input_ =
        at::zeros({FrameRows::Words(state.slots(), width)}, options_.dtype(at::kInt));
  }

  int64_t rows() const { return program_->rows_; }
  FrameRows Input() const { return program_->RowsIn(program_->input_.data_ptr()); }
  // The samples that a frame brings.
  Signal Samples(int64_t count) const {
    return {program_->input_.narrow(0, 3 * rows(), rows() * count).view(at::kFloat).view({-1, 1}),
            count};
  }

  Signal Convolve(const nn::StreamingConv& conv, const Signal& x) {
    const nn::ConvSpec& spec = conv.spec();
    const Signal windows = Windows(conv.tail(), spec, spec.kernel, spec.stride, spec.dilation, x);
    return {Multiply(windows.values, conv.product()), windows.steps};
  }

  Signal Convolve(const nn::StreamingTransposedConv& conv, const Signal& x) {
    const nn::ConvSpec& spec = conv.spec();
    const Signal windows = Windows(conv.tail(), spec, conv.reach(), 1, 1, x);
    const Signal y{
        spec.depthwise ? Depthwise(conv, windows.values) : Multiply(windows.values, conv.product()),
        x.steps * spec.stride};
    return {y.values.view({rows() * y.steps, spec.out_channels}), y.steps};
  }

  // Takes `x` away.
  template <class Conv>
  Signal Replace(const Conv& conv, const Signal& x) {
    const Signal y = Convolve(conv, x);
    workspace_.Give(x.values);
    return y;
  }
  Signal Replace(const ResidualBlock& block, const Signal& x) {
    const Signal inner = Convolve(block.inner(), x);
    const Signal outer = Replace(block.outer(), inner);
    program_->operations_.emplace_back(Addition{outer.values, x.values});
    workspace_.Give(x.values);
    return outer;
  }

  // In place.
  void Transform(const nn::Transformer& transformer, const Signal& signal) {
    const nn::RingAttentionSpec& attention = transformer.attention();
    const at::Tensor& x = signal.values;
    const int64_t dim = x.size(1);
    supported_ &= signal.steps <= std::min(cuda::kMostSteps, attention.capacity) &&
                  signal.steps == attention.block && attention.head_dim % 2 == 0 &&
                  attention.head_dim <= nn::cuda::kWidestHead;
    const FrameRows input = Input();
    at::Tensor normed = workspace_.Take(x.size(0), dim);
    at::Tensor attended = workspace_.Take(x.size(0), dim);
    at::Tensor branch;
    at::Tensor scale;
    const auto norm = [&](const at::Tensor& weight, const at::Tensor& bias,
                          const at::Tensor& output) {
      supported_ &= !scale.defined() || scale.scalar_type() == at::kFloat;
      if (!supported_) return;
      program_->operations_.emplace_back(
          cuda::LayerNormKernel{.x = Data(x),
                                .branch = Data(branch),
                                .scale = Data(scale),
                                .weight = Data(weight),
                                .bias = Data(bias),
                                .output = Data(output),
                                .rows = static_cast<int>(x.size(0)),
                                .dim = static_cast<int>(dim),
                                .eps = static_cast<float>(nn::kLayerNormEps)});
      if (branch.defined()) workspace_.Give(branch);
    };
    for (const nn::Transformer::Layer& layer : transformer.layers()) {
      norm(layer.norm1_weight, layer.norm1_bias, normed);
      const at::Tensor qkv = Multiply(normed, layer.matrices.in_proj, /*take_x=*/false);
      program_->operations_.emplace_back(
          cuda::AttendBlockKernel{.qkv = Data(qkv),
                                  .keys = Data(state_.tensor(layer.keys)),
                                  .values = Data(state_.tensor(layer.values)),
                                  .slots = input.slots,
                                  .positions = input.positions,
                                  .frequencies = Data(transformer.inverse_frequencies()),
                                  .output = Data(attended),
                                  .rows = program_->rows_,
                                  .steps = static_cast<int>(signal.steps),
                                  .heads = attention.num_heads,
                                  .dim = attention.head_dim,
                                  .capacity = attention.capacity,
                                  .context = attention.context,
                                  .mask_next_slot = attention.rule == nn::RingRule::kMaskNextSlot});
      workspace_.Give(qkv);
      branch = Multiply(attended, layer.matrices.out_proj, /*take_x=*/false);
      scale = layer.scale1;
      norm(layer.norm2_weight, layer.norm2_bias, normed);
      const at::Tensor hidden = Multiply(normed, layer.matrices.mlp_in, /*take_x=*/false);
      program_->operations_.emplace_back(
          cuda::GeluKernel{.x = Data(hidden), .count = hidden.numel()});
      branch = Multiply(hidden, layer.matrices.mlp_out);
      scale = layer.scale2;
    }
    norm({}, {}, {});
    workspace_.Give(normed);
    workspace_.Give(attended);
  }

  // latent [rows, dimension] -> the program's output.
  void Quantise(const SplitRvq& quantizer, const at::Tensor& latent) {
    program_->latent_ = latent;
    const int levels = quantizer.levels();
    program_->output_ = at::zeros({rows(), levels}, options_.dtype(at::kInt));
    int level = 0;
    for (const SplitRvq::Part* part : {&quantizer.first(), &quantizer.rest()}) {
      if (part->codebooks.empty()) continue;
      const at::Tensor residual = Multiply(latent, part->input_proj, /*take_x=*/false);
      for (const SplitRvq::Codebook& codebook : part->codebooks) {
        const at::Tensor scores = Multiply(residual, codebook.scores, /*take_x=*/false);
        const at::Tensor centroids = Kept(codebook.centroids);
        program_->operations_.emplace_back(
            cuda::NearestKernel{.scores = Data(scores),
                                .centroids = Data(centroids),
                                .residual = Data(residual),
                                .codes = program_->output_.data_ptr<int32_t>() + level++,
                                .stride = levels,
                                .rows = program_->rows_,
                                .bins = static_cast<int>(scores.size(1)),
                                .dim = static_cast<int>(residual.size(1))});
        workspace_.Give(scores);
      }
      workspace_.Give(residual);
    }
  }

  // The codes that a frame brings -> the latent [rows, dimension].
  at::Tensor Dequantise(const SplitRvq& quantizer) {
    at::Tensor latent;
    int level = 0;
    for (const SplitRvq::Part* part : {&quantizer.first(), &quantizer.rest()}) {
      if (part->codebooks.empty()) continue;
      std::vector<int64_t> addresses;
      for (const SplitRvq::Codebook& codebook : part->codebooks) {
        addresses.push_back(reinterpret_cast<int64_t>(Data(Kept(codebook.centroids))));
      }
      const at::Tensor table = Kept(at::tensor(addresses, at::kLong).to(options_.device()));
      const at::Tensor sum = workspace_.Take(rows(), part->codebooks[0].centroids.size(1));
      program_->operations_.emplace_back(
          cuda::CentroidsKernel{.codebooks = static_cast<const float* const*>(table.data_ptr()),
                                .codes = Input().frame + level,
                                .output = Data(sum),
                                .stride = quantizer.levels(),
                                .rows = program_->rows_,
                                .levels = static_cast<int>(addresses.size()),
                                .dim = static_cast<int>(sum.size(1))});
      level += static_cast<int>(addresses.size());
      if (latent.defined()) {
        program_->operations_.emplace_back(Product{.x = sum,
                                                   .weight = Transposed(part->output_proj),
                                                   .bias = {},
                                                   .out = latent,
                                                   .add = true});
        workspace_.Give(sum);
      } else {
        latent = Multiply(sum, part->output_proj);
      }
    }
    return latent;
  }

  void SetOutput(const at::Tensor& output) { program_->output_ = output; }

  // Null where the kernels cannot run it.
  std::unique_ptr<CodecProgram> Finish() {
    if (!supported_) return nullptr;
    if (!tails_.empty()) {
      std::vector<int64_t> words;
      for (const cuda::Tail& tail : tails_) {
        words.push_back(reinterpret_cast<int64_t>(tail.next));
        words.push_back(reinterpret_cast<int64_t>(tail.kept));
        words.push_back(tail.numbers);
      }
      static_assert(sizeof(cuda::Tail) == 3 * sizeof(int64_t));
      const at::Tensor table = Kept(at::tensor(words, at::kLong).to(options_.device()));
      program_->operations_.emplace_back(
          cuda::KeepKernel{.tails = static_cast<const cuda::Tail*>(table.data_ptr()),
                           .slots = Input().slots,
                           .rows = program_->rows_,
                           .count = static_cast<int>(tails_.size())});
    }
    for (at::Tensor& piece : workspace_.All()) program_->memory_.push_back(std::move(piece));
    return std::move(program_);
  }

 private:
  // A tensor that lives as long as the program.
  at::Tensor Kept(const at::Tensor& tensor) {
    program_->memory_.push_back(tensor.contiguous());
    return program_->memory_.back();
  }

  at::Tensor Transposed(const nn::Linear& matrix) {
    if (matrix.weight().defined()) return matrix.weight().t();
    supported_ = false;  // packed
    return at::empty({matrix.packed().inputs(), matrix.packed().outputs()});
  }

  // x * matrix in new memory; x is then given back where it is taken.
  at::Tensor Multiply(const at::Tensor& x, const nn::Linear& matrix, bool take_x = true) {
    const at::Tensor weight = Transposed(matrix);
    const at::Tensor out = workspace_.Take(x.size(0), weight.size(1));
    program_->operations_.emplace_back(
        Product{.x = x, .weight = weight, .bias = matrix.bias(), .out = out});
    if (take_x) workspace_.Give(x);
    return out;
  }

  Signal Windows(const nn::InputTail& tail, const nn::ConvSpec& spec, int64_t kernel,
                 int64_t stride, int64_t dilation, const Signal& x) {
    const int64_t count = x.steps / stride;
    const int64_t width = kernel * spec.in_channels;
    const at::Tensor windows = workspace_.Take(rows() * count, width);
    // The kernel counts what a row writes in 32 bits.
    supported_ &=
        count * width + tail.steps() * spec.in_channels < std::numeric_limits<int32_t>::max();
    const FrameRows input = Input();
    cuda::WindowsKernel operation{.x = Data(x.values),
                                  .tail = nullptr,
                                  .slots = input.slots,
                                  .starts = tail.replicate() ? input.starts : nullptr,
                                  .windows = Data(windows),
                                  .next_tail = nullptr,
                                  .rows = program_->rows_,
                                  .steps = static_cast<int>(x.steps),
                                  .channels = static_cast<int>(spec.in_channels),
                                  .kept = static_cast<int>(tail.steps()),
                                  .kernel = static_cast<int>(kernel),
                                  .stride = static_cast<int>(stride),
                                  .dilation = static_cast<int>(dilation),
                                  .elu = spec.elu};
    if (tail.steps() > 0) {
      const at::Tensor& kept = state_.tensor(tail.tail());
      const at::Tensor next = Kept(at::zeros(kept.sizes(), options_));
      operation.tail = Data(kept);
      operation.next_tail = Data(next);
      tails_.push_back(
          {.next = Data(next), .kept = Data(kept), .numbers = tail.steps() * spec.in_channels});
      program_->tails_.push_back(kept);
    }
    program_->operations_.emplace_back(operation);
    return {windows, count};
  }

  at::Tensor Depthwise(const nn::StreamingTransposedConv& conv, const at::Tensor& windows) {
    const nn::ConvSpec& spec = conv.spec();
    const at::Tensor out = workspace_.Take(windows.size(0), spec.stride * spec.out_channels);
    program_->operations_.emplace_back(
        cuda::DepthwiseKernel{.windows = Data(windows),
                              .weight = Data(conv.weight()),
                              .bias = Data(conv.bias()),
                              .output = Data(out),
                              .steps = windows.size(0),
                              .reach = static_cast<int>(conv.reach()),
                              .stride = static_cast<int>(spec.stride),
                              .channels = static_cast<int>(spec.out_channels)});
    workspace_.Give(windows);
    return out;
  }

  nn::SlotState& state_;
  at::TensorOptions options_;
  Workspace workspace_;
  std::unique_ptr<CodecProgram> program_;
  std::vector<cuda::Tail> tails_;
  bool supported_ = true;
};

std::unique_ptr<CodecProgram> CodecProgram::Encode(const MimiEncoder& encoder,
                                                   nn::SlotState& state) {
  const SeanetEncoder& seanet = encoder.seanet();
  const int64_t samples = seanet.hop_samples() * encoder.transformer().spec().block;
  Builder builder(state, encoder.device(), samples);
  Builder::Signal x = builder.Convolve(seanet.first(), builder.Samples(samples));
  for (const SeanetEncoder::Stage& stage : seanet.stages()) {
    for (const ResidualBlock& block : stage.blocks) x = builder.Replace(block, x);
    x = builder.Replace(stage.down, x);
  }
  x = builder.Replace(seanet.last(), x);
  builder.Transform(encoder.transformer(), x);
  if (encoder.downsample() != nullptr) x = builder.Replace(*encoder.downsample(), x);
  builder.Quantise(encoder.quantizer(), x.values);
  return builder.Finish();
}

std::unique_ptr<CodecProgram> CodecProgram::Decode(const MimiDecoder& decoder,
                                                   nn::SlotState& state) {
  const SeanetDecoder& seanet = decoder.seanet();
  Builder builder(state, decoder.device(), decoder.quantizer().levels());
  Builder::Signal x{builder.Dequantise(decoder.quantizer()), 1};
  if (decoder.upsample() != nullptr) x = builder.Replace(*decoder.upsample(), x);
  builder.Transform(decoder.transformer(), x);
  x = builder.Replace(seanet.first(), x);
  for (const SeanetDecoder::Stage& stage : seanet.stages()) {
    x = builder.Replace(stage.up, x);
    for (const ResidualBlock& block : stage.blocks) x = builder.Replace(block, x);
  }
  x = builder.Replace(seanet.last(), x);
  builder.SetOutput(x.values.view({builder.rows(), -1}));
  return builder.Finish();
}

}  // namespace ppx::codec
