// Flow: one lane from a publisher on one side of a link to a reader of its mirror on the other,
// with a ledger of what went in and came out.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>

#include "dataplane/link/in_lane.h"
#include "dataplane/link/link.h"
#include "dataplane/link/out_lane.h"
#include "tests/support/ledger.h"
#include "tests/support/test_lane.h"

namespace penstock::test {

struct FlowConfig {
  uint32_t alias = 1;
  uint32_t epoch = 1;
  LaneGeometry lane{.ring_log2 = 6, .arena_log2 = 16, .topics = 4};
  LaneGeometry mirror{.ring_log2 = 5, .arena_log2 = 15, .topics = 4};
  uint64_t max_len = 4096;  // of a message
  uint64_t total = 200;     // messages
  uint64_t first = 0;       // number and position of the first
  uint64_t seed = 1;
  bool copy_payloads = false;  // frames may not refer to the lane
};

class Flow {
 public:
  explicit Flow(const FlowConfig& config)
      : config_(config),
        lane(config.lane, 100 + config.alias, config.first, config.first * 64),
        mirror(config.mirror, 200 + config.alias, config.first, config.first * 64),
        feed(lane),
        reader(mirror.read()),
        ledger(config.seed, config.max_len, config.first),
        out(config.alias, config.epoch, config.mirror, feed,
            {.position = config.first, .arena = config.first * 64}),
        in(config.alias, config.epoch, mirror.writer(), 100 + config.alias) {
    if (config.copy_payloads) feed.copy_payloads();
  }

  // Publishes up to `n` messages, as many as there is room for.
  uint64_t publish(uint64_t n) {
    uint64_t done = 0;
    for (; done < n && !all_published(); done++) {
      const uint64_t i = ledger.next();
      std::byte* to = lane.writer().loan(ledger.length(i));
      if (to == nullptr) break;
      ledger.write(i, to);
      lane.writer().commit({.topic = 0, .time_ns = i, .key = i + 1});
      ledger.published();
    }
    return done;
  }

  // Reads and lets go of up to `n` messages.
  uint64_t read(uint64_t n) {
    Message m;
    uint64_t done = 0;
    for (; done < n && reader.next(m) != LaneReader::Next::kEmpty; done++)
      ledger.got(m);
    if (done != 0) reader.release();
    return done;
  }

  bool all_published() const { return ledger.count() == config_.total; }
  bool done() const { return all_published() && ledger.complete() && out.idle(); }
  const FlowConfig& config() const { return config_; }

 private:
  FlowConfig config_;

 public:
  TestLane lane;
  TestLane mirror;
  LaneFeed feed;
  LaneReader reader;
  Ledger ledger;
  OutLane out;
  InLane in;
};

}  // namespace penstock::test
