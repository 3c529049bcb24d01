// The definition of a match, by dynamic programming over all pairs of prefixes: what the fast ones
// are held to.
#pragma once

#include <string_view>
#include <vector>

#include "dataplane/topic/name.h"

namespace penstock {

inline std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> out;
  for (std::string_view word; next_word(text, word);)
    out.push_back(word);
  return out;
}

inline bool slow_match(std::string_view filter, std::string_view topic) {
  const auto f = words_of(filter);
  const auto t = words_of(topic);
  // fits[j]: the first i words of the filter take the first j of the topic.
  std::vector<char> fits(t.size() + 1, 0);
  fits[0] = 1;
  for (const auto& want : f) {
    std::vector<char> now(t.size() + 1, 0);
    for (size_t j = 0; j <= t.size(); j++) {
      if (want == "#") {
        now[j] = fits[j] | (j > 0 ? now[j - 1] : char{0});
      } else if (j > 0 && (want == "*" || want == t[j - 1])) {
        now[j] = fits[j - 1];
      }
    }
    fits = now;
  }
  return fits.back() != 0;
}

}  // namespace penstock
