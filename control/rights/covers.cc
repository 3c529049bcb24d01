#include "control/rights/covers.h"

#include <bitset>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/topic/name.h"

namespace penstock {
namespace {

constexpr size_t kMostWords = kMaxTopicBytes / 2 + 1;
constexpr size_t kMostSteps = 1024;

using Places = std::bitset<kMostWords + 1>;  // how many words of `outer` may have been used up

std::vector<std::string_view> words_of(std::string_view filter) {
  std::vector<std::string_view> words;
  for (std::string_view word; next_word(filter, word);)
    words.push_back(word);
  return words;
}

// '#' may take no word.
Places settle(Places at, const std::vector<std::string_view>& outer) {
  for (size_t i = 0; i < outer.size(); i++)
    if (at[i] && outer[i] == "#") at.set(i + 1);
  return at;
}

// Where `outer` may be after one more word. A word that only wildcards take: a wildcard's.
Places after(const Places& at, std::string_view word, const std::vector<std::string_view>& outer) {
  const bool any = word == "*" || word == "#";
  Places next;
  for (size_t i = 0; i < outer.size(); i++) {
    if (!at[i]) continue;
    if (outer[i] == "#") next.set(i);
    if (outer[i] == "*" || (!any && outer[i] == word)) next.set(i + 1);
  }
  return settle(next, outer);
}

}  // namespace

// The hardest topics for `outer` are those where each wildcard of `inner` stands for words that are
// nowhere else. So `inner` is read as a machine that for '*' says one such word and for '#' any
// number, and `outer` follows with the set of places where it may be; every pair of the two that
// can come about is looked at once. Where `inner` may end, `outer` must be able to.
bool covers(std::string_view outer_filter, std::string_view inner_filter) {
  const auto outer = words_of(outer_filter);
  const auto inner = words_of(inner_filter);
  struct State {
    size_t i;   // words of `inner` that are behind us
    bool some;  // a word was said: no topic is empty
    Places at;
  };
  std::set<std::pair<size_t, std::string>> seen;
  std::vector<State> open;
  const auto reach = [&](const State& s) {
    if (seen.insert({2 * s.i + (s.some ? 1 : 0), s.at.to_string()}).second) open.push_back(s);
  };
  reach({0, false, settle(Places(1), outer)});
  while (!open.empty()) {
    if (seen.size() > kMostSteps) return false;
    const auto [i, some, at] = open.back();
    open.pop_back();
    if (i == inner.size()) {
      if (some && !at[outer.size()]) return false;
      continue;
    }
    const Places next = after(at, inner[i], outer);
    if (inner[i] != "#") {
      reach({i + 1, true, next});
      continue;
    }
    reach({i + 1, some, at});
    reach({i, true, next});
  }
  return true;
}

}  // namespace penstock
