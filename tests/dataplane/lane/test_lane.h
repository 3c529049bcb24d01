// A lane with everything a node would set up around it, in one process. Each piece of memory ends
// at a page that nobody may touch, so that an access outside of it is a crash.
#pragma once

#include <cstdint>
#include <gtest/gtest.h>
#include <memory>
#include <random>
#include <sys/mman.h>
#include <vector>

#include "dataplane/base/event.h"
#include "dataplane/base/fd.h"
#include "dataplane/lane/node_page.h"
#include "dataplane/lane/reader.h"
#include "dataplane/lane/writer.h"

namespace penstock {

class GuardedMemory {
 public:
  explicit GuardedMemory(uint64_t bytes) : bytes_((bytes + 4095) & ~uint64_t{4095}) {
    void* p = mmap(nullptr, bytes_ + 2 * kGuard, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    base_ = static_cast<std::byte*>(p);
    if (p == MAP_FAILED || mprotect(data(), bytes_, PROT_READ | PROT_WRITE) != 0) abort();
  }
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;
  ~GuardedMemory() { munmap(base_, bytes_ + 2 * kGuard); }

  std::byte* data() const { return base_ + kGuard; }
  uint64_t size() const { return bytes_; }

 private:
  static constexpr uint64_t kGuard = 1 << 16;
  std::byte* base_ = nullptr;
  uint64_t bytes_;
};

struct TestLane {
  static constexpr uint64_t kLaneId = 77;

  explicit TestLane(const LaneGeometry& g)
      : geometry(g),
        lane(g.total_bytes()),
        page_memory(sizeof(NodePage)),
        table_memory(sizeof(PositionTable)),
        page(reinterpret_cast<NodePage*>(page_memory.data())),
        table(reinterpret_cast<PositionTable*>(table_memory.data())),
        header(reinterpret_cast<LaneHeader*>(lane.data())) {
    enable_remote_fence();
    LaneWriter::format(lane.data(), g, kLaneId, 1);
    desk = LaneDesk(page, header, kLaneId);
    writer = std::make_unique<LaneWriter>(lane.data(), g, page);
    EXPECT_TRUE(writer->add_topic("a").ok());
  }

  // Slot `n` of the one position table belongs to mark `n`.
  LaneReader::Join join_only(bool lossy = false) {
    const auto joined = desk.join(lossy);
    EXPECT_TRUE(joined.ok());
    return {.memory = lane.data(),
            .geometry = geometry,
            .page = page,
            .index = joined->index,
            .generation = joined->generation,
            .slot = &table->slots[joined->index],
            .start = joined->start,
            .lossy = lossy};
  }
  LaneReader join(bool lossy = false, const Wake& wake = {}) {
    const LaneReader::Join j = join_only(lossy);
    writer->attach_reader(j.index, j.generation, j.slot, wake);
    return LaneReader(j);
  }
  void leave(const LaneReader& r) {
    desk.leave(r.join().index);
    writer->detach_reader(r.join().index);
  }

  Errc send(std::span<const std::byte> bytes) { return writer->send({}, bytes); }
  Errc send(uint64_t value) { return send(std::as_bytes(std::span(&value, 1))); }
  Errc send_bytes(uint64_t len) { return send(std::vector<std::byte>(len)); }
  Descriptor& descriptor(uint64_t position) {
    auto* ring = reinterpret_cast<Descriptor*>(lane.data() + geometry.ring_at());
    return ring[position & (geometry.ring_size() - 1)];
  }

  Extra& extra(uint64_t position) {
    auto* extras = reinterpret_cast<Extra*>(lane.data() + geometry.extras_at());
    return extras[position & (geometry.ring_size() - 1)];
  }

  LaneGeometry geometry;
  GuardedMemory lane;
  GuardedMemory page_memory;
  GuardedMemory table_memory;
  NodePage* page;
  PositionTable* table;
  LaneHeader* header;
  LaneDesk desk;
  std::unique_ptr<LaneWriter> writer;
};

// Four messages, one page of arena: everything wraps soon.
inline constexpr LaneGeometry kTiny{.ring_log2 = 2, .arena_log2 = 12, .topics = 4};

// A generator that is the same everywhere.
class Dice {
 public:
  explicit Dice(uint64_t seed) : engine_(seed) {}
  uint64_t next() { return engine_(); }
  uint64_t below(uint64_t n) { return engine_() % n; }
  bool one_in(uint64_t n) { return below(n) == 0; }

 private:
  std::mt19937_64 engine_;
};

inline uint64_t value_of(const Message& m) {
  uint64_t v = 0;
  if (m.len >= 8) std::memcpy(&v, m.data, 8);
  return v;
}

}  // namespace penstock
