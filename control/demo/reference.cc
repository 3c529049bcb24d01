#include "control/demo/job.h"
#include "control/demo/model.h"
#include "control/demo/report.h"

namespace penstock::demo {

Outcome run_reference(const JobOptions& options) {
  const auto digits = load_digits(options.digits);
  if (!digits) return tl::make_unexpected(digits.error());
  const Layers weights = train_alone(digits->train, options.steps, options.ranks);
  if (auto ok = write_weights(weights, options.weights_out); !ok) return ok;
  print_line(fmt::format(R"({{"done":true,"accuracy":{:.6f}}})", accuracy(weights, digits->test)));
  return {};
}

}  // namespace penstock::demo
