#include "dataplane/topic/tenant.h"

#include <algorithm>

#include "dataplane/topic/filter.h"
#include "dataplane/topic/name.h"

namespace penstock {
namespace {

// The default tenant has no word, or its names could be said in two ways.
bool valid_word_of_tenant(std::string_view name) {
  return !tenant_word(name) || (valid_tenant(tenant_of(name)) && tenant_of(name) != kDefaultTenant);
}

}  // namespace

bool valid_tenant(std::string_view tenant) {
  return !tenant.empty() && tenant.size() <= kMaxTenantBytes &&
         std::ranges::all_of(tenant, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '-';
         });
}

std::string in_tenant(std::string_view tenant, std::string_view name) {
  std::string s;
  if (tenant != kDefaultTenant) s.append(" ").append(tenant).append(".");
  s.append(name);
  return s.size() <= kMaxTopicBytes ? s : std::string();
}

std::string_view tenant_of(std::string_view name) {
  if (!tenant_word(name)) return kDefaultTenant;
  return name.substr(1, name.find('.') - 1);
}

std::string_view bare_name(std::string_view name) {
  if (!tenant_word(name)) return name;
  const size_t dot = name.find('.');
  return dot == std::string_view::npos ? std::string_view() : name.substr(dot + 1);
}

bool valid_tenant_topic(std::string_view name) {
  return name.size() <= kMaxTopicBytes && valid_word_of_tenant(name) &&
         valid_topic(bare_name(name));
}

bool valid_tenant_filter(std::string_view name) {
  return name.size() <= kMaxTopicBytes && valid_word_of_tenant(name) &&
         valid_filter(bare_name(name));
}

}  // namespace penstock
