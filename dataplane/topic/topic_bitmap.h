// TopicBitmap: which topics of one lane a reader wants. A filter is matched once for each new
// topic; from then on its id is looked up here. Grows by set(); look() is for the hot path. One
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace penstock {

class TopicBitmap {
 public:
  enum class Use : uint8_t { kUnknown = 0, kUnwanted = 1, kWanted = 2 };

  // kUnknown: nobody has said yet. Match the topic's name and call set().
  Use look(uint32_t id) const {
    const size_t word = id / kPerWord;
    if (word >= words_.size()) return Use::kUnknown;
    return static_cast<Use>(words_[word] >> shift(id) & 3);
  }

  // Allocates when `id` is larger than any before.
  void set(uint32_t id, Use use) {
    const size_t word = id / kPerWord;
    if (word >= words_.size()) words_.resize(word + 1);
    words_[word] &= ~(uint64_t{3} << shift(id));
    words_[word] |= static_cast<uint64_t>(use) << shift(id);
  }

  // Forgets everything: the filters have changed.
  void clear() { words_.clear(); }

 private:
  static constexpr uint32_t kPerWord = 32;  // two bits each
  static constexpr unsigned shift(uint32_t id) { return id % kPerWord * 2; }

  std::vector<uint64_t> words_;
};

}  // namespace penstock
