// Topic names: words separated by dots, "grad.layer3.w".
#pragma once

#include <cstddef>
#include <string_view>

namespace penstock {

inline constexpr size_t kMaxTopicBytes = 255;  // of a name and of a filter

// Whether `name` is a topic: words that are not empty, of printable ASCII without blanks, '*' and
// '#'; at most kMaxTopicBytes in all.
bool valid_topic(std::string_view name);

// Takes the first word off `rest`, and the dot behind it. False when nothing is left.
//
//   for (std::string_view word; next_word(rest, word);) ...
inline bool next_word(std::string_view& rest, std::string_view& word) {
  if (rest.data() == nullptr) return false;
  const size_t dot = rest.find('.');
  word = rest.substr(0, dot);
  rest = dot == rest.npos ? std::string_view() : rest.substr(dot + 1);
  return true;
}

}  // namespace penstock
