#include "tests/support/sim_runs.h"

#include <algorithm>
#include <bit>

#include "tests/support/sim_star.h"

namespace penstock::test {
namespace {

constexpr uint64_t kSize = 64 << 10;
constexpr double kBytesPerNs = 12.5;
constexpr uint64_t kLimitNs = 60'000'000'000;

SimPortConfig port() {
  SimPortConfig p;
  p.max_frame = 9014;
  p.tx_room = 4096;
  p.buffers = p.rx_queue = 16'384;
  p.gbps = 100;
  p.switch_room = 4 << 20;
  p.faults.delay_ns = 10'000;
  return p;
}

uint64_t wrong(SimStar& star) {
  uint64_t n = 0;
  for (auto& f : star.flows())
    n += f->wrong;
  return n;
}

}  // namespace

LossyOutcome run_lossy(const LossyRun& r) {
  SimStar::Config c;
  c.seed = 7;
  c.hosts = r.receivers + 1;
  c.port = port();
  c.link.congestion = r.congestion;
  SimStar star(c);
  const LaneGeometry lane{.ring_log2 = 10, .arena_log2 = 24, .topics = 1};
  auto& source = star.publish(0, lane, kSize, r.messages);
  for (uint32_t i = 1; i <= r.receivers; i++)
    star.subscribe(i, source, lane);
  LossyOutcome o;
  if (!star.connect()) return o;
  for (uint32_t i = 0; i <= r.receivers; i++) {
    SimFaults& f = star.port(i).faults;
    f.lose = r.lost / r.in_a_row;
    f.lose_run = r.in_a_row;
    f.lose_for_ns = kLimitNs;
    if (r.in_a_row != 1)
      f.lose_for_ns = 10'000;  // a burst on the cable, however few frames it meets
  }
  const uint64_t begin = star.now();
  const uint64_t before = star.port(0).stats().tx_bytes.read();
  o.done = star.run(kLimitNs);
  o.wrong = wrong(star);
  const double bytes = static_cast<double>(kSize * r.messages);
  o.bytes_per_ns = bytes / static_cast<double>(star.now() - begin);
  o.wire = static_cast<double>(star.port(0).stats().tx_bytes.read() - before) / bytes / r.receivers;
  return o;
}

IncastOutcome run_incast(const IncastRun& r) {
  SimStar::Config c;
  c.seed = 3;
  c.hosts = r.senders + 1;
  c.port = port();
  c.port.switch_room = r.buffer;
  if (r.marks) c.port.mark_at = r.buffer / 4;
  c.credits = r.credits;
  SimStar star(c);
  const LaneGeometry lane{.ring_log2 = 6, .arena_log2 = 21, .topics = 1};
  for (uint32_t i = 1; i <= r.senders; i++)
    star.subscribe(0, star.publish(i, lane, kSize, r.messages), lane);
  IncastOutcome o;
  if (!star.connect()) return o;
  SimPort& to = star.port(0);
  const uint64_t begin = star.now();
  const uint64_t overflowed = to.overflowed();
  const uint64_t came = to.stats().rx_frames.read();
  o.done = star.run(kLimitNs);
  o.wrong = wrong(star);
  const auto dropped = static_cast<double>(to.overflowed() - overflowed);
  o.dropped = dropped / (dropped + static_cast<double>(to.stats().rx_frames.read() - came));
  const double ideal = static_cast<double>(r.senders * kSize * r.messages) / kBytesPerNs;
  o.time = static_cast<double>(star.now() - begin) / ideal;
  return o;
}

ChainOutcome run_chain(const ChainRun& r) {
  SimStar::Config c;
  c.seed = 11;
  c.hosts = r.receivers + 1;
  c.port = port();
  if (r.chain) c.chain_from = 256 << 10;
  c.link.dead_after_ns = 500'000'000;
  if (r.rdma) c.rdma_gbps = r.rdma_gbps;
  c.slow_device = r.slow;
  SimStar star(c);
  const auto holds = static_cast<uint32_t>(std::bit_width(std::bit_ceil(r.size)) - 1);
  const LaneGeometry lane{.ring_log2 = 10, .arena_log2 = std::max(26u, holds), .topics = 1};
  auto& source = star.publish(0, lane, r.size, r.messages);
  for (uint32_t i = 1; i <= r.receivers; i++)
    star.subscribe(i, source, lane);
  ChainOutcome o;
  if (!star.connect()) return o;
  if (r.lost != 0) {
    for (uint32_t i = 1; i <= 2; i++)
      star.port(i).faults.lose = r.lost;
  }
  if (r.slow != 0) star.port(r.slow).set_rate(1);
  const uint64_t begin = star.now();
  const uint64_t before = star.port(0).stats().tx_bytes.read();
  if (r.killed != 0 || r.stalled != 0) {
    const auto half = [&] {
      const uint64_t sent =
          r.rdma ? star.rails().put_bytes(0) : star.port(0).stats().tx_bytes.read() - before;
      return sent >= r.size * r.messages / (r.stalled != 0 ? 16 : 2);
    };
    if (!star.run(kLimitNs, half)) return o;
    if (r.killed != 0) star.kill(r.killed);
    if (r.stalled != 0) star.stall(r.stalled, star.now() + r.stalled_ns);
  }
  const double ideal = static_cast<double>(r.size * r.messages) / kBytesPerNs;
  const auto others = [&] {
    return std::ranges::all_of(star.flows(),
                               [&](const auto& f) { return f->done() || f->host == r.slow; });
  };
  if (!star.run(kLimitNs, others)) return o;
  o.others = static_cast<double>(star.now() - begin) / ideal;
  o.done = star.run(kLimitNs);
  o.wrong = wrong(star);
  o.trace = star.net().trace();
  o.time = static_cast<double>(star.now() - begin) / ideal;
  o.seconds = static_cast<double>(star.now() - begin) / 1e9;
  const uint64_t sent = star.port(0).stats().tx_bytes.read() - before;
  o.egress = static_cast<double>(sent) / static_cast<double>(r.size * r.messages);
  for (auto& f : star.flows())
    if (f->forward.seat() != nullptr) o.fell_back += f->forward.seat()->stats().fell_back.read();
  for (uint32_t i = 1; i <= r.receivers; i++)
    for (uint32_t j = 1; j <= r.receivers; j++)
      if (i != j && r.chain) o.relayed += star.relay_stats(i, j).bytes_out.read();
  if (!r.rdma) return o;
  o.put = static_cast<double>(star.rails().put_bytes(0)) / static_cast<double>(r.size * r.messages);
  for (uint32_t i = 1; i <= r.receivers; i++)
    o.passed += star.rails().passed_bytes(i);
  o.relayed += o.passed;
  o.revoked = star.rails().revoked();
  o.wrong += star.rails().misuse();
  return o;
}

}  // namespace penstock::test
