// The model: a two-layer softmax classifier and its stochastic gradient descent, as pure functions.
// The trainers, the parameter server and the single-process reference call the same functions in
// the same order, so their floats agree bit for bit; model.cc is compiled without contraction of
// multiply and add, which could differ from one call site to the next.
//
//   pixels[64] ──hidden──▶ relu[256] ──output──▶ softmax[10]
//
// A layer is one vector of floats: a row of weights for each input, then the biases.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "control/demo/digits.h"

namespace penstock::demo {

inline constexpr size_t kHidden = 256;
inline constexpr size_t kLayers = 2;
inline constexpr std::array<const char*, kLayers> kLayerNames{"hidden", "output"};
inline constexpr std::array<size_t, kLayers> kLayerSizes{(kPixels + 1) * kHidden,
                                                         (kHidden + 1) * kClasses};
inline constexpr size_t kShard = 8;  // digits that one rank learns from in one step

// Weights, a gradient or a velocity: the same shape.
using Layers = std::array<std::vector<float>, kLayers>;
Layers zeros();

// The weights that everybody starts from.
Layers initial_weights();

// Sets `gradient` to the sum of the gradients of the cross-entropy over the shard of `rank` (of
// `ranks`) in `step`, and returns the summed loss of the shard.
float shard_gradient(const Layers& weights, std::span<const Digit> train, uint32_t step,
                     uint32_t rank, uint32_t ranks, Layers& gradient);

// SGD with momentum. Owned by the server (or the reference); not copied, not shared.
class Optimizer {
 public:
  // Adds the gradients up in rank order, whatever the order they came in, and moves the weights.
  void apply(std::span<const Layers> gradient_of_rank, Layers& weights);

 private:
  Layers velocity_ = zeros();
  Layers sum_ = zeros();
};

// The share of `digits` whose label the model guesses.
double accuracy(const Layers& weights, std::span<const Digit> digits);

// The whole job in one process, without messages: the weights that the distributed one must equal.
Layers train_alone(std::span<const Digit> train, uint32_t steps, uint32_t ranks);

}  // namespace penstock::demo
