// Ledger: checks what a reader got against what was published, one lane each. What a message holds
// follows from the lane's seed and the message's number, so the ledger needs nothing of the sender
// but how many there were. Six numbers must be zero: wrong().
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "dataplane/lane/layout.h"
#include "dataplane/lane/message.h"

namespace penstock::test {

// A small generator for tests: the same everywhere.
class Random {
 public:
  explicit Random(uint64_t seed) : x_(seed * 0x9e3779b97f4a7c15 | 1) {}
  uint64_t operator()() {
    x_ ^= x_ << 13;
    x_ ^= x_ >> 7;
    x_ ^= x_ << 17;
    return x_ * 0x2545f4914f6cdd1d >> 8;
  }
  uint64_t below(uint64_t n) { return (*this)() % n; }
  bool chance(uint32_t percent) { return below(100) < percent; }

 private:
  uint64_t x_;
};

class Ledger {
 public:
  // Lengths are 1 to max_len, most of them small; `first` is the number of the first message.
  Ledger(uint64_t seed, uint64_t max_len, uint64_t first)
      : seed_(seed), max_len_(max_len), first_(first), published_(first), expected_(first) {}

  // The bytes of message `n`.
  uint64_t length(uint64_t n) const {
    Random r(seed_ ^ n * 0x100000001b3);
    uint64_t most = max_len_;
    for (uint64_t halve = r.below(12); halve > 0 && most > 64; halve--)
      most /= 2;
    return 1 + r.below(most);
  }
  void write(uint64_t n, std::byte* to) const {
    fill(n, length(n),
         [&](uint64_t at, const void* word, size_t len) { std::memcpy(to + at, word, len); });
  }

  // The next message to publish, and that it was.
  uint64_t next() const { return published_; }
  void published() { published_++; }

  // A message or gap that the reader got. Its `source` is its number.
  void got(const Message& m) {
    if ((m.flags & kFlagGap) != 0) {
      gaps_ += m.key;
      expected_ += m.key;
      return;
    }
    if (m.source >= published_) {
      phantom++;
      return;
    }
    if (m.source < expected_) {
      repeated++;
      return;
    }
    lost += m.source - expected_;
    expected_ = m.source + 1;
    delivered_++;
    if (!right(m)) corrupted++;
  }

  bool complete() const { return expected_ == published_; }
  uint64_t delivered() const { return delivered_; }
  uint64_t count() const { return published_ - first_; }
  uint64_t gaps() const { return gaps_; }  // messages that were announced as not coming

  // What must be zero. A lost message is one that was jumped over without a gap.
  uint64_t lost = 0, repeated = 0, corrupted = 0, phantom = 0;
  uint64_t wrong() const { return lost + repeated + corrupted + phantom; }
  std::string text() const {
    return "published " + std::to_string(count()) + ", delivered " + std::to_string(delivered_) +
           ", gaps " + std::to_string(gaps_) + ", lost " + std::to_string(lost) + ", repeated " +
           std::to_string(repeated) + ", corrupted " + std::to_string(corrupted) + ", phantom " +
           std::to_string(phantom);
  }

 private:
  template <class F>
  void fill(uint64_t n, uint64_t len, F&& word_at) const {
    uint64_t word = seed_ ^ n * 0x9e3779b97f4a7c15;
    for (uint64_t at = 0; at < len; at += 8) {
      word = word * 6364136223846793005 + 1442695040888963407;
      word_at(at, &word, static_cast<size_t>(len - at < 8 ? len - at : 8));
    }
  }
  bool right(const Message& m) const {
    if (m.len != length(m.source) || m.key != m.source + 1) return false;
    bool same = true;
    fill(m.source, m.len, [&](uint64_t at, const void* word, size_t len) {
      same = same && std::memcmp(m.data + at, word, len) == 0;
    });
    return same;
  }

  uint64_t seed_;
  uint64_t max_len_;
  uint64_t first_;
  uint64_t published_;
  uint64_t expected_;
  uint64_t delivered_ = 0;
  uint64_t gaps_ = 0;
};

}  // namespace penstock::test
