/* Doubly linked, circular, intrusive list. The node lives in its element;
 * container_of() leads back. One owner at a time. */
#ifndef TSINK_BASE_LIST_H
#define TSINK_BASE_LIST_H

#include <stdbool.h>

struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *head)
{
    head->next = head->prev = head;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

static inline void list_push(struct list *head, struct list *node) /* at the end */
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->next = node->prev = node;
}

static inline struct list *list_pop(struct list *head) /* the first, or NULL */
{
    struct list *node = head->next;
    if (node == head) return 0;
    list_remove(node);
    return node;
}

#define list_each(at, head) for (struct list *at = (head)->next; at != (head); at = at->next)

#endif
