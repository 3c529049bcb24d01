// Lines: a topic, then filters. Matching one by one, the definition of a match, and the trie agree;
// and nothing minds lines that are neither.
#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "dataplane/topic/filter.h"
#include "dataplane/topic/trie.h"
#include "tests/dataplane/topic/slow_match.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

std::string_view take_line(std::string_view& rest) {
  const size_t end = std::min(rest.find('\n'), rest.size());
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return line;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace penstock;
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  const std::string_view topic = take_line(rest);
  Trie<size_t> trie;
  std::vector<std::string_view> filters;
  while (!rest.empty() && filters.size() < 64) {
    const std::string_view f = take_line(rest);
    if (!valid_topic(topic) || !valid_filter(f)) {
      matches(f, topic);
      continue;
    }
    require(!valid_topic(f) || matches(f, topic) == (f == topic));
    require(matches(f, topic) == slow_match(f, topic));
    require(trie.insert(f, filters.size()));
    filters.push_back(f);
  }
  std::vector<int> found(filters.size());
  trie.collect(topic, [&](size_t i) { found[i]++; });
  for (size_t i = 0; i < filters.size(); i++) {
    require(found[i] == (matches(filters[i], topic) ? 1 : 0));
    require(trie.remove(filters[i], i));
  }
  require(trie.empty());
  return 0;
}
