// Words: a line of a script, of which each word counts once: what nobody asked for is an error.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::test {

class Words {
 public:
  // Up to a '#'.
  explicit Words(std::string_view line) {
    std::istringstream in(std::string(line.substr(0, line.find('#'))));
    for (std::string w; in >> w;)
      words_.push_back(w);
  }

  bool empty() const { return words_.empty(); }
  // The first that is left, or nothing.
  std::string next() {
    if (words_.empty()) return {};
    std::string w = words_.front();
    words_.erase(words_.begin());
    return w;
  }
  bool flag(std::string_view word) {
    const auto it = std::ranges::find(words_, word);
    if (it == words_.end()) return false;
    words_.erase(it);
    return true;
  }
  // Of `name=value`.
  std::optional<std::string> value(const std::string& name) {
    for (auto it = words_.begin(); it != words_.end(); ++it) {
      if (!it->starts_with(name + "=")) continue;
      std::string v = it->substr(name.size() + 1);
      words_.erase(it);
      return v;
    }
    return std::nullopt;
  }
  uint64_t number(const std::string& name, uint64_t otherwise) {
    const auto v = value(name);
    if (!v) return otherwise;
    const auto n = parse(*v);
    if (!n) words_.push_back(name + "=" + *v);  // still to be complained about
    return n.value_or(otherwise);
  }
  // The value of `name`, if there is one, becomes so much more.
  void add(const std::string& name, uint64_t more) {
    if (const auto n = value(name))
      words_.push_back(name + "=" + std::to_string(*parse(*n) + more));
  }
  // What is left, in one line.
  std::string rest() const {
    std::string out;
    for (const auto& w : words_)
      out += (out.empty() ? "" : " ") + w;
    return out;
  }
  std::string all() {
    std::string out = rest();
    words_.clear();
    return out;
  }

  // 12, 0x10, 20us (nanoseconds), 2^62, and sums of these.
  static std::optional<uint64_t> parse(std::string_view text) {
    const std::string s(text);
    const char* at = s.c_str();
    uint64_t sum = 0;
    for (bool minus = false;; at++) {
      if (*at < '0' || *at > '9') return std::nullopt;
      char* end = nullptr;
      uint64_t n = std::strtoull(at, &end, 0);
      if (*end == '^') n = power(n, std::strtoull(end + 1, &end, 10));
      at = end;
      n *= unit(at);
      sum = minus ? sum - n : sum + n;
      if (*at == '\0') return sum;
      if (*at != '+' && *at != '-') return std::nullopt;
      minus = *at == '-';
    }
  }

 private:
  // 2^64 is 0, as for any counter of 64 bits.
  static uint64_t power(uint64_t base, uint64_t n) {
    uint64_t out = 1;
    for (; n != 0; n--)
      out *= base;
    return out;
  }
  static uint64_t unit(const char*& at) {
    const std::string_view rest(at);
    for (const auto& [name, ns] : {std::pair{"ns", 1u}, std::pair{"us", 1000u},
                                   std::pair{"ms", 1'000'000u}, std::pair{"s", 1'000'000'000u}}) {
      if (!rest.starts_with(name)) continue;
      at += std::string_view(name).size();
      return ns;
    }
    return 1;
  }

  std::vector<std::string> words_;
};

}  // namespace penstock::test
