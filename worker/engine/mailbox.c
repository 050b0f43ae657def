#include "worker/engine/mailbox.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/clock.h"

struct node {
    struct mail mail;
    struct node *next;
};

enum { N_KINDS = MAIL_STOP + 1 };

struct mailbox {
    pthread_mutex_t lock; /* guards all below, and is held for no longer than to touch it */
    pthread_cond_t posted;
    struct node *oldest, *newest;
    struct node orders[N_KINDS]; /* of mailbox_order */
    bool is_ordered[N_KINDS];    /* the order is in the queue */
};

struct mailbox *mailbox_create(void)
{
    struct mailbox *mailbox = calloc(1, sizeof *mailbox);
    if (mailbox) {
        pthread_mutex_init(&mailbox->lock, NULL);
        clock_condition_init(&mailbox->posted);
    }
    return mailbox;
}

void mailbox_free(struct mailbox *mailbox, void (*free_submission)(void *submission))
{
    struct mail mail;
    if (!mailbox)
        return;
    while (mailbox_take(mailbox, 0, &mail)) {
        if (mail.submission)
            free_submission(mail.submission);
    }
    pthread_cond_destroy(&mailbox->posted);
    pthread_mutex_destroy(&mailbox->lock);
    free(mailbox);
}

/* Under the lock. */
static void append(struct mailbox *mailbox, struct node *node)
{
    node->next = NULL;
    if (mailbox->newest)
        mailbox->newest->next = node;
    else
        mailbox->oldest = node;
    mailbox->newest = node;
    pthread_cond_signal(&mailbox->posted);
}

/* Under the lock; it is in the queue. */
static void take_out(struct mailbox *mailbox, const struct node *node)
{
    struct node *before = NULL, *at = mailbox->oldest;
    for (; at != node; at = at->next)
        before = at;
    *(before ? &before->next : &mailbox->oldest) = node->next;
    if (mailbox->newest == node)
        mailbox->newest = before;
}

bool mailbox_post(struct mailbox *mailbox, struct mail mail)
{
    struct node *node = malloc(sizeof *node);
    if (!node)
        return false;
    node->mail = mail;
    pthread_mutex_lock(&mailbox->lock);
    append(mailbox, node);
    pthread_mutex_unlock(&mailbox->lock);
    return true;
}

void mailbox_order(struct mailbox *mailbox, enum mail_kind kind)
{
    struct node *node = &mailbox->orders[kind];
    pthread_mutex_lock(&mailbox->lock);
    if (mailbox->is_ordered[kind])
        take_out(mailbox, node);
    mailbox->is_ordered[kind] = true;
    node->mail = (struct mail){.kind = kind};
    append(mailbox, node);
    pthread_mutex_unlock(&mailbox->lock);
}

/* Under the lock. */
static struct mail take_oldest(struct mailbox *mailbox)
{
    struct node *node = mailbox->oldest;
    struct mail mail = node->mail;
    take_out(mailbox, node);
    if (node == &mailbox->orders[mail.kind])
        mailbox->is_ordered[mail.kind] = false;
    else
        free(node);
    return mail;
}

bool mailbox_take(struct mailbox *mailbox, double seconds, struct mail *mail)
{
    struct timespec until = clock_after(seconds);
    int waited = seconds > 0 ? 0 : 1;
    pthread_mutex_lock(&mailbox->lock);
    while (!mailbox->oldest && !waited)
        waited = pthread_cond_timedwait(&mailbox->posted, &mailbox->lock, &until);
    bool found = mailbox->oldest;
    if (found)
        *mail = take_oldest(mailbox);
    pthread_mutex_unlock(&mailbox->lock);
    return found;
}
