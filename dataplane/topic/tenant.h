// Tenants: namespaces that share nothing. Inside a node, and between nodes, the name of a topic or
// a filter begins with the word of its tenant; that of the default tenant has none.
//
//   client of tenant acme says    grad.*.w      the node means    " acme.grad.*.w"
//   client of the default says    grad.*.w      the node means    "grad.*.w"
//
// The word begins with a blank, which no client's topic or filter may contain, and no wildcard
// takes it (filter.h): neither a name nor a filter of one tenant is ever one of another.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace penstock {

inline constexpr std::string_view kDefaultTenant = "default";
inline constexpr size_t kMaxTenantBytes = 32;

// Letters, digits, '_' and '-'; at most kMaxTenantBytes.
bool valid_tenant(std::string_view tenant);

// Whether `word` is the first of a name of a tenant other than the default.
inline bool tenant_word(std::string_view word) {
  return word.starts_with(' ');
}

// `name`, a valid topic or filter, with the word of the tenant, a valid one, before it. Empty: it
// is longer than kMaxTopicBytes then.
std::string in_tenant(std::string_view tenant, std::string_view name);

// Of a name as it is inside a node: whose it is, and what its clients call it.
std::string_view tenant_of(std::string_view name);
std::string_view bare_name(std::string_view name);

// Whether a name that came from another node is a topic, or a filter, of any tenant.
bool valid_tenant_topic(std::string_view name);
bool valid_tenant_filter(std::string_view name);

}  // namespace penstock
