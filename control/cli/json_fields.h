// Fields of the node's answers. One that is not there reads as nothing; one of another type throws
// nlohmann::json::exception.
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

}  // namespace penstock::cli
