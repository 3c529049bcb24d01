#include "dataplane/topic/name.h"

#include <algorithm>

namespace penstock {
namespace {

bool valid_word(std::string_view word) {
  return !word.empty() && std::ranges::all_of(word, [](char c) {
    return c > ' ' && c <= '~' && c != '*' && c != '#';
  });
}

}  // namespace

bool valid_topic(std::string_view name) {
  if (name.empty() || name.size() > kMaxTopicBytes) return false;
  for (std::string_view word; next_word(name, word);) {
    if (!valid_word(word)) return false;
  }
  return true;
}

}  // namespace penstock
