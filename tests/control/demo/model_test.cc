#include "control/demo/model.h"

#include <algorithm>
#include <gtest/gtest.h>

namespace penstock::demo {
namespace {

const Digits& digits() {
  static const Digits d = load_digits(DIGITS).value();
  return d;
}

TEST(Model, LearnsTheDigitsInAThousandSteps) {
  EXPECT_GE(accuracy(train_alone(digits().train, 1000, 4), digits().test), 0.965);
}

TEST(Model, GivesTheSameBitsInEveryRun) {
  EXPECT_EQ(train_alone(digits().train, 50, 4), train_alone(digits().train, 50, 4));
}

TEST(Model, LearnsTheSameWhateverTheOrderInWhichGradientsAreComputed) {
  constexpr uint32_t kRanks = 4;
  Layers weights = initial_weights();
  Optimizer optimizer;
  std::vector<Layers> gradients(kRanks, zeros());
  for (uint32_t step = 0; step < 50; step++) {
    for (uint32_t rank = kRanks; rank-- > 0;)
      shard_gradient(weights, digits().train, step, rank, kRanks, gradients[rank]);
    optimizer.apply(gradients, weights);
  }
  EXPECT_EQ(weights, train_alone(digits().train, 50, kRanks));
}

// The gradient against the slope of the loss, at the weights that matter most.
TEST(Model, ComputesTheSlopeOfTheLoss) {
  Layers weights = initial_weights();
  Layers gradient = zeros();
  Layers ignored = zeros();
  shard_gradient(weights, digits().train, 0, 0, 1, gradient);
  for (size_t l = 0; l < kLayers; l++) {
    const auto steepest = std::max_element(gradient[l].begin(), gradient[l].end());
    float& w = weights[l][static_cast<size_t>(steepest - gradient[l].begin())];
    const float at = w;
    constexpr float kNudge = 1e-3F;
    w = at + kNudge;
    const float above = shard_gradient(weights, digits().train, 0, 0, 1, ignored);
    w = at - kNudge;
    const float below = shard_gradient(weights, digits().train, 0, 0, 1, ignored);
    w = at;
    EXPECT_NEAR((above - below) / (2 * kNudge), *steepest, 0.05F * *steepest) << kLayerNames[l];
  }
}

TEST(Model, GivesEveryRankOtherDigits) {
  Layers first = zeros();
  Layers second = zeros();
  const Layers weights = initial_weights();
  shard_gradient(weights, digits().train, 0, 0, 4, first);
  shard_gradient(weights, digits().train, 0, 1, 4, second);
  EXPECT_NE(first, second);
}

}  // namespace
}  // namespace penstock::demo
