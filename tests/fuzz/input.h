// Input: a fuzzer's bytes, read as a list of what happens next. A number is mostly near the one
// that matters, so that much of what is made of it gets past the first check.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <vector>

namespace penstock::test {

class Input {
 public:
  Input(const uint8_t* data, size_t size) : at_(data), end_(data + size) {}
  bool more() const { return at_ != end_; }
  uint8_t byte() { return at_ == end_ ? uint8_t{0} : *at_++; }
  // Mostly near `base`, sometimes far away.
  uint64_t near(uint64_t base) {
    const uint8_t b = byte();
    if (b < 0xf0) return base + b - 8;
    uint64_t far = 0;
    for (int i = 0; i < 8; i++)
      far = far << 8 | byte();
    return far;
  }
  std::vector<std::byte> bytes(size_t n) {
    std::vector<std::byte> out(n);
    for (std::byte& b : out)
      b = std::byte{byte()};
    return out;
  }

 private:
  const uint8_t* at_;
  const uint8_t* end_;
};

// Changes up to seven of the bytes.
inline void scribble(std::span<std::byte> bytes, Input& input) {
  for (int n = input.byte() % 8; n > 0 && !bytes.empty(); n--) {
    const uint64_t at = input.near(8) % bytes.size();
    bytes[at] = std::byte{input.byte()};
  }
}

// What must hold, whatever the input. Says where it did not.
inline void must(bool holds, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  if (holds) return;
  std::fprintf(stderr, "%s:%d: must hold\n", file, line);
  std::abort();
}

}  // namespace penstock::test
