#include "bench/costs.h"

#include "base/error.h"

namespace ppx::bench {
namespace {

constexpr double kFloatBytes = 4;

// Weights, and multiplications with them for one frame of one row.
struct Layers {
  double weights = 0;
  double products = 0;

  // `times`: how often the matrix is applied in a frame.
  void Matrix(double outputs, double inputs, double times) {
    weights += outputs * inputs;
    products += outputs * inputs * times;
  }
};

// The convolutions of one side of SEANet, which mirror each other. A transposed convolution is
// applied once for each of its inputs, a plain one for each of its outputs: both are the slower
// rate of the two.
Layers SeanetLayers(const codec::SeanetConfig& seanet, double frame_samples, bool encoder) {
  Layers layers;
  double channels = seanet.n_filters;
  double rate = frame_samples;
  const double wave = seanet.channels;
  layers.Matrix(channels, wave * (encoder ? seanet.kernel_size : seanet.last_kernel_size), rate);
  for (auto ratio = seanet.ratios.rbegin(); ratio != seanet.ratios.rend(); ++ratio) {
    const double inner = channels / seanet.compress;
    for (int block = 0; block < seanet.n_residual_layers; ++block) {
      layers.Matrix(inner, channels * seanet.residual_kernel_size, rate);
      layers.Matrix(channels, inner, rate);
    }
    rate /= *ratio;
    layers.Matrix(2 * channels, channels * 2 * *ratio, rate);
    channels *= 2;
  }
  layers.Matrix(seanet.dimension,
                channels * (encoder ? seanet.last_kernel_size : seanet.kernel_size), rate);
  return layers;
}

void AddCodecTransformer(const codec::CodecTransformerConfig& transformer, double steps,
                         Layers& layers) {
  const double dim = transformer.d_model;
  for (int i = 0; i < transformer.num_layers; ++i) {
    layers.Matrix(4 * dim, dim, steps);
    layers.Matrix(2 * dim, transformer.dim_feedforward, steps);
  }
}

Layers EncoderLayers(const codec::MimiConfig& config, int levels) {
  const double latent = config.seanet.dimension;
  const double steps = config.steps_per_frame();
  Layers layers = SeanetLayers(config.seanet, config.frame_samples(), true);
  AddCodecTransformer(config.transformer, steps, layers);
  if (steps > 1) layers.Matrix(latent, latent * 2 * steps, 1);
  layers.Matrix(2.0 * config.quantizer.dimension, latent, 1);  // of both parts
  layers.Matrix(static_cast<double>(levels) * config.quantizer.bins, config.quantizer.dimension, 1);
  return layers;
}

Layers DecoderLayers(const codec::MimiConfig& config, int levels) {
  const double latent = config.seanet.dimension;
  const double steps = config.steps_per_frame();
  Layers layers = SeanetLayers(config.seanet, config.frame_samples(), false);
  AddCodecTransformer(config.transformer, steps, layers);
  if (steps > 1) layers.Matrix(latent, 2 * steps, 1);  // one filter a channel
  layers.Matrix(2 * latent, config.quantizer.dimension, 1);
  layers.weights += static_cast<double>(levels) * config.quantizer.dimension;  // rows looked up
  return layers;
}

Work CodecWork(const codec::MimiConfig& config, const Layers& layers, int rows, double positions) {
  const codec::CodecTransformerConfig& transformer = config.transformer;
  const double seen = 2.0 * transformer.d_model * transformer.num_layers * positions * rows;
  // The steps of a frame read the same keys and values; each multiplies with all of them.
  return {.weight_bytes = layers.weights * kFloatBytes,
          .state_bytes = seen * kFloatBytes,
          .flops = 2 * (layers.products * rows + seen * config.steps_per_frame())};
}

double TemporalWeights(const lm::LmConfig& config) {
  const double dim = config.dim;
  return config.num_layers * (4 * dim * dim + 3 * dim * config.hidden());
}

double DepthWeights(const lm::LmConfig& config) {
  const double dim = config.depformer_dim;
  const double layer = 4 * dim * dim + 3 * dim * config.depformer_hidden();
  return config.depth_steps() *
         (dim * config.dim + config.depformer_num_layers * layer + dim * config.card);
}

Work MatrixWork(double weights, int rows, const ElementBytes& bytes) {
  return {.weight_bytes = weights * bytes.weight, .flops = 2 * weights * rows};
}

}  // namespace

const char* StageName(Stage stage) {
  switch (stage) {
    case Stage::kEncode:
      return "codec_encode";
    case Stage::kTemporal:
      return "temporal_transformer";
    case Stage::kTextLogits:
      return "text_logits";
    case Stage::kDepth:
      return "depth_transformer";
    case Stage::kSampling:
      return "sampling_and_rest";
    case Stage::kDecode:
      return "codec_decode";
  }
  base::ThrowInternal("a stage without a name");
}

bool IsCodec(Stage stage) { return stage == Stage::kEncode || stage == Stage::kDecode; }

Work StageWork(Stage stage, const engine::ModelConfig& config, int rows, const Positions& positions,
               const ElementBytes& bytes) {
  const lm::LmConfig& lm = config.lm;
  switch (stage) {
    case Stage::kEncode:
      return CodecWork(config.mimi, EncoderLayers(config.mimi, lm.codebooks()), rows,
                       positions.codec);
    case Stage::kDecode:
      return CodecWork(config.mimi, DecoderLayers(config.mimi, lm.codebooks()), rows,
                       positions.codec);
    case Stage::kTemporal: {
      Work work = MatrixWork(TemporalWeights(lm), rows, bytes);
      const double seen = 2.0 * lm.dim * lm.num_layers * positions.lm * rows;
      const double looked_up = static_cast<double>(lm.streams()) * lm.dim * rows;
      work.weight_bytes += looked_up * bytes.state;
      work.state_bytes = seen * bytes.state;
      work.flops += 2 * seen;
      return work;
    }
    case Stage::kTextLogits:
      return MatrixWork(static_cast<double>(lm.text_card) * lm.dim, rows, bytes);
    case Stage::kDepth:
      return MatrixWork(DepthWeights(lm), rows, bytes);
    case Stage::kSampling:
      return {};
  }
  base::ThrowInternal("a stage without work");
}

Work PrefillWork(const lm::LmConfig& config, int64_t steps, const ElementBytes& bytes) {
  const auto count = static_cast<double>(steps);
  const double weights = TemporalWeights(config);
  // Position t looks at t + 1 positions.
  const double products = 2.0 * config.dim * config.num_layers * count * (count + 1) / 2;
  return {.weight_bytes = weights * bytes.weight,
          .state_bytes = 2.0 * config.dim * config.num_layers * count * bytes.state,
          .flops = 2 * (weights * count + products)};
}

}  // namespace ppx::bench
