/* uuid.h - 128-bit identities of nodes, shards and clusters; random (RFC 9562 version 4). */
#ifndef COMMON_UUID_H
#define COMMON_UUID_H

#include <stdbool.h>
#include <stdint.h>

struct uuid { uint8_t bytes[16]; };
enum { UUID_TEXT_SIZE = 37 }; /* 8-4-4-4-12 hexadecimal and the NUL */

struct uuid uuid_new(void);
bool uuid_equal(struct uuid a, struct uuid b);
bool uuid_is_zero(struct uuid u);
void uuid_text(struct uuid u, char out[UUID_TEXT_SIZE]);
bool uuid_parse(const char *text, struct uuid *ret);

#endif
