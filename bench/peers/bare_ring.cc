// The limit on one host: a broadcast ring in shared memory with nothing around it. One writer, any
// number of readers, reliable, variable size; no topics, no descriptors, no death, no sleep.
//
//     | len | payload ... | len | payload ... | 0 |        8-byte aligned, shoulder to shoulder
//
// `len` is stored last and the one behind it is cleared first, so a reader needs no other word than
// the record itself: one cache-line move carries the news and the (small) message. A record never
// wraps: kWrap sends the reader back to the start. Readers publish their position after a burst,
// each on a line of its own; the writer looks at them only when its last look leaves no room.
// Tried and not faster: payloads that start a line (slower when small, the same when large), other
// capacities than those of arena_bytes(), bursts of 256, prefetch, cldemote.
#include <new>
#include <vector>

#include "bench/rig/harness.h"

namespace penstock::bench {
namespace {

constexpr uint64_t kWrap = ~uint64_t{0};

struct Ring {
  struct alignas(kPair) Cursor {
    SharedWord position;
  };
  Cursor cursors[64];
  alignas(kPair) std::byte bytes[1];
};

SharedWord& word(Ring& ring, uint64_t at) {
  return *std::launder(reinterpret_cast<SharedWord*>(ring.bytes + at));
}

constexpr uint64_t record(size_t len) {
  return (8 + len + 7) & ~uint64_t{7};
}

class Writer {
 public:
  void open(Ring* ring, uint64_t capacity, uint32_t readers) {
    ring_ = ring;
    capacity_ = capacity;
    readers_ = readers;
  }

  bool send(size_t len, uint64_t number, bool touch) {
    const uint64_t need = record(len);
    const uint64_t offset = at_ & (capacity_ - 1);
    const bool wrap = offset + need + 8 > capacity_;  // room for the cleared word behind it, too
    const uint64_t start = wrap ? at_ + (capacity_ - offset) : at_;
    if (start + need + 8 - lowest_ > capacity_ && !room(start + need + 8)) return false;
    const uint64_t place = start & (capacity_ - 1);
    if (touch) fill(ring_->bytes + place + 8, len, number);
    word(*ring_, place + need).store_relaxed(0);
    if (wrap) word(*ring_, place).store_relaxed(0);
    if (wrap) word(*ring_, offset).store(kWrap);
    word(*ring_, place).store(len);
    at_ = start + need;
    return true;
  }

 private:
  bool room(uint64_t end) {
    lowest_ = kEnd;
    for (uint32_t i = 0; i < readers_; i++) {
      lowest_ = std::min(lowest_, ring_->cursors[i].position.load());
    }
    return end - lowest_ <= capacity_;
  }

  Ring* ring_ = nullptr;
  uint64_t capacity_ = 0;
  uint32_t readers_ = 0;
  uint64_t at_ = 0;
  uint64_t lowest_ = 0;
};

class Reader {
 public:
  void open(Ring* ring, uint64_t capacity, uint32_t index) {
    ring_ = ring;
    capacity_ = capacity;
    mine_ = &ring->cursors[index].position;
  }

  template <class F>
  uint32_t poll(uint32_t limit, F&& f) {
    uint32_t n = 0;
    while (n < limit) {
      const uint64_t place = at_ & (capacity_ - 1);
      const uint64_t len = word(*ring_, place).load();
      if (len == 0) break;
      if (len == kWrap) {
        at_ += capacity_ - place;
        continue;
      }
      f(ring_->bytes + place + 8, len);
      at_ += record(len);
      n++;
    }
    if (n != 0) mine_->store(at_);
    return n;
  }

 private:
  Ring* ring_ = nullptr;
  uint64_t capacity_ = 0;
  SharedWord* mine_ = nullptr;
  uint64_t at_ = 0;
};

class RingEnd {
 public:
  struct Medium {
    Medium(const Job& j, Board&) : job(j), capacity(arena_bytes(j.size)) {
      for (Ring*& r : ways)
        r = new (shared_memory(sizeof(Ring) + capacity)) Ring;
    }
    static bool threads(const Job&) { return false; }
    Job job;
    uint64_t capacity;
    Ring* ways[2];  // left to right, right to left
  };

  RingEnd(Medium& m, unsigned side) : job_(m.job), readers_(m.job.readers) {
    out_.open(m.ways[side], m.capacity, m.job.readers);
    for (uint32_t i = 0; i < m.job.readers; i++)
      readers_[i].open(m.ways[1 - side], m.capacity, i);
  }

  bool send(uint64_t number) { return out_.send(job_.size, number, job_.touched()); }

  template <class F>
  uint32_t poll(uint32_t reader, F&& f) {
    return readers_[reader].poll(job_.burst, f);
  }

 private:
  Job job_;
  Writer out_;
  std::vector<Reader> readers_;
};

}  // namespace
}  // namespace penstock::bench

int main(int argc, char** argv) {
  return penstock::bench::bench_main<penstock::bench::RingEnd>(argc, argv);
}
