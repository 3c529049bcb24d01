// Fields of the node's answers, and JSON for output. A field that is not there reads as nothing;
// one of another type throws nlohmann::json::exception.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

namespace penstock::cli {

inline std::string str(const nlohmann::json& object, const char* key) {
  return object.value(key, std::string());
}

inline uint64_t num(const nlohmann::json& object, const char* key) {
  return object.value(key, uint64_t{0});
}

// A reference into `object`, which must outlive it.
inline const nlohmann::json& list(const nlohmann::json& object, const char* key) {
  static const nlohmann::json kNone = nlohmann::json::array();
  const auto found = object.find(key);
  return found == object.end() ? kNone : *found;
}

// As it is printed: on one line with indent -1. Bytes that are no UTF-8 are replaced.
inline std::string json_text(const nlohmann::json& value, int indent) {
  return value.dump(indent, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace penstock::cli
