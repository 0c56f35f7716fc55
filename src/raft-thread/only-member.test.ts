import { describe, expect, it } from 'vitest';
import { OnlyMember } from './only-member.ts';

const alone = { voters: [1n], learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false };
const context = (n: number): Buffer => Buffer.from([n]);

function proven(): OnlyMember {
  const member = new OnlyMember(1n);
  member.changed(alone);
  member.asked(context(1));
  member.confirmed(context(1), 5);
  return member;
}

describe('the only member', () => {
  it('is sure after one ReadIndex whose index is applied', () => {
    const member = new OnlyMember(1n);
    member.changed(alone);
    expect(member.isSure(9)).toBe(false);
    member.asked(context(1));
    expect(member.isSure(9)).toBe(false);
    member.confirmed(context(1), 5);
    expect([member.isSure(4), member.isSure(5)]).toEqual([false, true]);
  });

  it('is not sure any more after a change, until it has asked again', () => {
    const member = proven();
    member.changed(alone);
    expect(member.isSure(9)).toBe(false);
    member.confirmed(context(1), 5);
    expect(member.isSure(9)).toBe(false);
    member.asked(context(2));
    member.confirmed(context(2), 7);
    expect(member.isSure(7)).toBe(true);
  });

  it.each([
    { voters: [1n, 2n] },
    { voters: [2n] },
    { learners: [2n] },
    { votersOutgoing: [2n] },
    { learnersNext: [2n] },
  ])('is never sure with others: %o', (others) => {
    const member = proven();
    member.changed({ ...alone, ...others });
    member.asked(context(2));
    member.confirmed(context(2), 5);
    expect(member.isSure(9)).toBe(false);
  });
});
