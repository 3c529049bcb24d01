// A trainer of the main job: computes gradients on its part of the digits, pushes them, and takes
// the weights that come back. One thread of its own; a client of node A.
#include "control/demo/exchange.h"
#include "control/demo/gather.h"
#include "control/demo/job.h"
#include "control/demo/report.h"

namespace penstock::demo {
namespace {

// Without weights for so long, a trainer says again that it is there. The server sends the weights
// again only to a rank whose gradient it lacks, so asking too often does no harm.
constexpr int64_t kAskAgainNs = 500'000'000;

class Trainer {
 public:
  Trainer(const JobOptions& options, const Digits& digits) : options_(options), digits_(digits) {}

  Outcome open();
  Outcome work();
  uint64_t pushed() { return pusher_.stats().sent; }

 private:
  struct Received {
    bool last = false;
    std::array<uint64_t, kLayers> latency_ns{};
  };

  Outcome receive_weights(Received& received);
  Outcome send(uint32_t topic, const MessageHeader& header, std::span<const float> floats);
  MessageHeader header(Kind kind) const;

  const JobOptions& options_;
  const Digits& digits_;
  pen::Client client_;
  pen::Subscriber weights_;
  pen::Pusher pusher_;
  std::array<uint32_t, kLayers> gradient_topics_{};
  uint32_t join_topic_ = 0;
  uint32_t done_topic_ = 0;
  Gather gather_{1};
};

Outcome Trainer::open() {
  const std::string name = fmt::format("rank{}", options_.rank);
  auto client = pen::Client::attach(name.c_str(), options_.socket.c_str());
  if (!client) return set_up_failed("cannot attach");
  client_ = std::move(*client);
  auto weights = client_.subscriber("weights.#");
  if (!weights) return set_up_failed("cannot subscribe to weights.#");
  weights_ = std::move(*weights);
  auto pusher = client_.pusher({.name = name.c_str(), .timestamps = true});
  if (!pusher) return set_up_failed("cannot push");
  pusher_ = std::move(*pusher);
  const auto topics = layer_topics(pusher_, "grad");
  const auto join = pusher_.topic("grad.join");
  const auto done = pusher_.topic("grad.done");
  if (!topics || !join || !done) return set_up_failed("cannot push to grad.*");
  gradient_topics_ = *topics;
  join_topic_ = *join;
  done_topic_ = *done;
  return {};
}

MessageHeader Trainer::header(Kind kind) const {
  MessageHeader h;
  h.kind = kind;
  h.step = gather_.step();
  h.rank = static_cast<uint16_t>(options_.rank);
  return h;
}

Outcome Trainer::send(uint32_t topic, const MessageHeader& header, std::span<const float> floats) {
  const pen::Code code = send_in_place(pusher_, topic, header, floats);
  if (code != PENSTOCK_OK)
    return tl::make_unexpected(fmt::format("cannot push: {}", pen::text(code)));
  return {};
}

// Waits until the weights of gather_.step(), or of a later step, are whole.
Outcome Trainer::receive_weights(Received& received) {
  while (!gather_.whole()) {
    pen::Message message;
    const pen::Code code = weights_.recv(message, kAskAgainNs);
    if (code == PENSTOCK_TIMEOUT) {
      if (auto asked = send(join_topic_, header(Kind::kJoin), {}); !asked) return asked;
      continue;
    }
    if (code != PENSTOCK_OK) {
      return tl::make_unexpected(fmt::format("no more weights: {}", pen::text(code)));
    }
    if (message.is_gap()) return lost(message);
    const auto h = read_header(message.bytes());
    if (!h || h->kind != Kind::kWeights) continue;  // not of this job
    if (h->step > gather_.step()) gather_.start(h->step);
    if (!gather_.take(*h, message.bytes())) continue;
    received.latency_ns[h->layer] = age_ns(message);
    received.last = h->last != 0;
  }
  return {};
}

Outcome Trainer::work() {
  Layers gradient = zeros();
  if (auto joined = send(join_topic_, header(Kind::kJoin), {}); !joined) return joined;
  for (;;) {
    Received received;
    if (auto ok = receive_weights(received); !ok) return ok;
    const Layers& weights = gather_.layers()[0];
    if (received.last) {
      weights_.release();  // nothing comes after it that would let go of it
      if (auto ok = write_weights(weights, options_.weights_out); !ok) return ok;
      return send(done_topic_, header(Kind::kDone), {});
    }
    MessageHeader h = header(Kind::kGradient);
    h.loss =
        shard_gradient(weights, digits_.train, h.step, options_.rank, options_.ranks, gradient);
    for (uint16_t l = 0; l < kLayers; l++) {
      h.layer = l;
      h.weights_latency_ns = received.latency_ns[l];
      if (auto ok = send(gradient_topics_[l], h, gradient[l]); !ok) return ok;
    }
    gather_.start(h.step + 1);
  }
}

}  // namespace

Outcome run_trainer(const JobOptions& options) {
  const auto digits = load_digits(options.digits);
  if (!digits) return tl::make_unexpected(digits.error());
  Trainer trainer(options, *digits);
  if (auto ok = trainer.open(); !ok) return ok;
  if (auto ok = trainer.work(); !ok) return ok;
  print_line(
      fmt::format(R"({{"done":true,"rank":{},"pushed":{}}})", options.rank, trainer.pushed()));
  wait_for_end_of_input();
  return {};
}

}  // namespace penstock::demo
