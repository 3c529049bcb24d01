// The parameter server of the main job: pulls gradients, sums them in rank order, publishes
// weights. One thread of its own; a client of node B.
#include "control/demo/exchange.h"
#include "control/demo/gather.h"
#include "control/demo/job.h"
#include "control/demo/progress.h"
#include "control/demo/report.h"

namespace penstock::demo {
namespace {

// Looks up so often when no gradient comes, to print progress all the same.
constexpr int64_t kLookUpNs = 500'000'000;

class Server {
 public:
  Server(const JobOptions& options, const Digits& digits)
      : options_(options),
        digits_(digits),
        gather_(options.ranks),
        done_(options.ranks, false),
        loss_of_rank_(options.ranks) {}

  Outcome open();
  Outcome work();
  double accuracy() const { return demo::accuracy(weights_, digits_.test); }
  const Layers& weights() const { return weights_; }
  uint64_t pulled() const { return gradients_.stats().delivered; }

 private:
  using Clock = std::chrono::steady_clock;

  bool finished() const { return gather_.step() == options_.steps; }
  bool everybody_is_done() const;
  Outcome receive();
  Outcome take(const pen::Message& message);
  Outcome publish();
  void step();
  void report();

  const JobOptions& options_;
  const Digits& digits_;
  pen::Client client_;
  pen::Publisher publisher_;
  pen::Puller gradients_;
  std::array<uint32_t, kLayers> weight_topics_{};
  Layers weights_ = initial_weights();
  Optimizer optimizer_;
  Gather gather_;
  std::vector<bool> done_;
  std::vector<float> loss_of_rank_;
  Progress progress_{Clock::now()};
};

Outcome Server::open() {
  auto client = pen::Client::attach("server", options_.socket.c_str());
  if (!client) return set_up_failed("cannot attach");
  client_ = std::move(*client);
  auto publisher = client_.publisher({.name = "weights", .timestamps = true});
  if (!publisher) return set_up_failed("cannot publish");
  publisher_ = std::move(*publisher);
  const auto topics = layer_topics(publisher_, "weights");
  if (!topics) return set_up_failed("cannot publish weights.*");
  weight_topics_ = *topics;
  auto gradients = client_.puller("grad.#");
  if (!gradients) return set_up_failed("cannot pull grad.#");
  gradients_ = std::move(*gradients);
  return {};
}

bool Server::everybody_is_done() const {
  return std::all_of(done_.begin(), done_.end(), [](bool b) { return b; });
}

Outcome Server::publish() {
  MessageHeader h;
  h.kind = Kind::kWeights;
  h.step = gather_.step();
  h.last = finished() ? 1 : 0;
  for (uint16_t l = 0; l < kLayers; l++) {
    h.layer = l;
    const pen::Code code = send_in_place(publisher_, weight_topics_[l], h, weights_[l]);
    if (code != PENSTOCK_OK)
      return tl::make_unexpected(fmt::format("cannot publish: {}", pen::text(code)));
    progress_.weights(message_size(h));
  }
  return {};
}

// All gradients of this step are there: on to the next.
void Server::step() {
  optimizer_.apply(gather_.layers(), weights_);
  float loss = 0;
  for (const float l : loss_of_rank_)
    loss += l;
  progress_.step_done(loss / static_cast<float>(options_.ranks * kShard));
  gather_.start(gather_.step() + 1);
}

Outcome Server::take(const pen::Message& message) {
  if (message.is_gap()) return lost(message);
  const auto h = read_header(message.bytes());
  if (!h || h->rank >= options_.ranks) return {};  // not of this job
  switch (h->kind) {
    case Kind::kJoin:
      return gather_.has(h->rank) ? Outcome{} : publish();
    case Kind::kDone:
      done_[h->rank] = true;
      return {};
    case Kind::kGradient:
      if (finished() || !gather_.take(*h, message.bytes())) return {};
      progress_.gradient(message.len, age_ns(message));
      progress_.weights_seen(h->weights_latency_ns);
      loss_of_rank_[h->rank] = h->loss;
      if (!gather_.whole()) return {};
      step();
      return publish();
    case Kind::kWeights:
      break;
  }
  return {};
}

Outcome Server::receive() {
  pen::Message message;
  const pen::Code code = gradients_.recv(message, kLookUpNs);
  if (code == PENSTOCK_OK) return take(message);
  if (code == PENSTOCK_TIMEOUT) return {};
  return tl::make_unexpected(fmt::format("no more gradients: {}", pen::text(code)));
}

void Server::report() {
  print_line(progress_.take_line(Clock::now(), gather_.step(), options_.steps, accuracy()));
}

Outcome Server::work() {
  while (!everybody_is_done()) {
    if (auto ok = receive(); !ok) return ok;
    if (progress_.due(Clock::now())) report();
  }
  gradients_.release();  // nothing comes after the last that would let go of it
  report();
  return {};
}

}  // namespace

Outcome run_server(const JobOptions& options) {
  const auto digits = load_digits(options.digits);
  if (!digits) return tl::make_unexpected(digits.error());
  Server server(options, *digits);
  if (auto ok = server.open(); !ok) return ok;
  if (auto ok = server.work(); !ok) return ok;
  if (auto ok = write_weights(server.weights(), options.weights_out); !ok) return ok;
  print_line(fmt::format(R"({{"done":true,"accuracy":{:.6f},"pulled":{}}})", server.accuracy(),
                         server.pulled()));
  wait_for_end_of_input();
  return {};
}

}  // namespace penstock::demo
