// Random topics and filters over few words, so that they meet often.
#pragma once

#include <random>
#include <string>

namespace penstock {

// `wild`: of 8 words, about this many are wildcards; 0 gives a topic.
inline std::string random_words(std::mt19937_64& rng, unsigned most_words, unsigned wild) {
  constexpr const char* kWords[] = {"a", "b", "ab", "grad"};
  std::string out;
  for (auto n = 1 + rng() % most_words; n > 0; n--) {
    if (!out.empty()) out += '.';
    if (rng() % 8 < wild) {
      out += rng() % 2 == 0 ? '*' : '#';
    } else {
      out += kWords[rng() % 4];
    }
  }
  return out;
}

}  // namespace penstock
