#include "control/demo/model.h"

#include <algorithm>
#include <cmath>
#include <random>

namespace penstock::demo {
namespace {

constexpr float kLearningRate = 0.02F;
constexpr float kMomentum = 0.9F;

// out = bias + in * weights. Inputs that are 0 are skipped: half of all pixels are.
void forward(std::span<const float> layer, std::span<const float> in, std::span<float> out) {
  const auto bias = layer.subspan(in.size() * out.size(), out.size());
  std::copy(bias.begin(), bias.end(), out.begin());
  for (size_t i = 0; i < in.size(); i++) {
    if (in[i] == 0.0F) continue;
    const auto row = layer.subspan(i * out.size(), out.size());
    for (size_t j = 0; j < out.size(); j++)
      out[j] += in[i] * row[j];
  }
}

// Adds what the error `out_error` of one digit says about the layer.
void backward(std::span<const float> in, std::span<const float> out_error,
              std::span<float> gradient) {
  for (size_t i = 0; i < in.size(); i++) {
    if (in[i] == 0.0F) continue;
    const auto row = gradient.subspan(i * out_error.size(), out_error.size());
    for (size_t j = 0; j < out_error.size(); j++)
      row[j] += in[i] * out_error[j];
  }
  const auto bias = gradient.subspan(in.size() * out_error.size(), out_error.size());
  for (size_t j = 0; j < out_error.size(); j++)
    bias[j] += out_error[j];
}

void relu(std::span<float> x) {
  for (float& v : x)
    v = std::max(v, 0.0F);
}

void softmax(std::span<float> x) {
  const float top = *std::max_element(x.begin(), x.end());
  float sum = 0;
  for (float& v : x)
    sum += v = std::exp(v - top);
  for (float& v : x)
    v /= sum;
}

struct Activations {
  std::array<float, kHidden> hidden;
  std::array<float, kClasses> output;  // probabilities
};

void guess(const Layers& weights, const Digit& digit, Activations& a) {
  forward(weights[0], digit.pixels, a.hidden);
  relu(a.hidden);
  forward(weights[1], a.hidden, a.output);
  softmax(a.output);
}

// Adds one digit's gradient and returns its loss.
float learn(const Layers& weights, const Digit& digit, Layers& gradient) {
  Activations a;
  guess(weights, digit, a);
  const float loss = -std::log(std::max(a.output[digit.label], 1e-20F));
  a.output[digit.label] -= 1.0F;  // now the error at the output
  std::array<float, kHidden> hidden_error{};
  for (size_t j = 0; j < kHidden; j++) {
    if (a.hidden[j] == 0.0F) continue;
    for (size_t k = 0; k < kClasses; k++)
      hidden_error[j] += weights[1][j * kClasses + k] * a.output[k];
  }
  backward(a.hidden, a.output, gradient[1]);
  backward(digit.pixels, hidden_error, gradient[0]);
  return loss;
}

}  // namespace

Layers zeros() {
  Layers layers;
  for (size_t l = 0; l < kLayers; l++)
    layers[l].assign(kLayerSizes[l], 0.0F);
  return layers;
}

Layers initial_weights() {
  constexpr std::array<size_t, kLayers> kInputs{kPixels, kHidden};
  constexpr std::array<size_t, kLayers> kOutputs{kHidden, kClasses};
  std::mt19937 random(1);  // NOLINT(cert-msc51-cpp): the same start every time is the point
  Layers weights = zeros();
  for (size_t l = 0; l < kLayers; l++) {
    const float range = std::sqrt(6.0F / static_cast<float>(kInputs[l]));
    for (size_t i = 0; i < kInputs[l] * kOutputs[l]; i++) {
      const float unit = static_cast<float>(random() >> 8) / static_cast<float>(1 << 24);
      weights[l][i] = (2 * unit - 1) * range;
    }
  }
  return weights;
}

float shard_gradient(const Layers& weights, std::span<const Digit> train, uint32_t step,
                     uint32_t rank, uint32_t ranks, Layers& gradient) {
  for (auto& layer : gradient)
    std::fill(layer.begin(), layer.end(), 0.0F);
  const size_t first = (size_t{step} * ranks + rank) * kShard;
  float loss = 0;
  for (size_t i = 0; i < kShard; i++)
    loss += learn(weights, train[(first + i) % train.size()], gradient);
  return loss;
}

void Optimizer::apply(std::span<const Layers> gradient_of_rank, Layers& weights) {
  const float scale = kLearningRate / static_cast<float>(gradient_of_rank.size() * kShard);
  for (size_t l = 0; l < kLayers; l++) {
    auto& sum = sum_[l];
    sum = gradient_of_rank[0][l];
    for (const Layers& gradient : gradient_of_rank.subspan(1)) {
      for (size_t i = 0; i < sum.size(); i++)
        sum[i] += gradient[l][i];
    }
    for (size_t i = 0; i < sum.size(); i++) {
      velocity_[l][i] = kMomentum * velocity_[l][i] - scale * sum[i];
      weights[l][i] += velocity_[l][i];
    }
  }
}

double accuracy(const Layers& weights, std::span<const Digit> digits) {
  size_t right = 0;
  Activations a;
  for (const Digit& digit : digits) {
    guess(weights, digit, a);
    const auto best = std::max_element(a.output.begin(), a.output.end()) - a.output.begin();
    right += static_cast<uint32_t>(best) == digit.label ? 1 : 0;
  }
  return static_cast<double>(right) / static_cast<double>(digits.size());
}

Layers train_alone(std::span<const Digit> train, uint32_t steps, uint32_t ranks) {
  Layers weights = initial_weights();
  Optimizer optimizer;
  std::vector<Layers> gradients(ranks, zeros());
  for (uint32_t step = 0; step < steps; step++) {
    for (uint32_t rank = 0; rank < ranks; rank++)
      shard_gradient(weights, train, step, rank, ranks, gradients[rank]);
    optimizer.apply(gradients, weights);
  }
  return weights;
}

}  // namespace penstock::demo
