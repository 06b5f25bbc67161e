//! A slab whose slots carry generations: an old key never finds a new value.

/// Values in numbered slots. A slot whose generation would wrap is retired.
#[derive(Debug)]
pub struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u16,
    value: Option<T>,
}

impl<T> Default for Slab<T> {
    fn default() -> Slab<T> {
        Slab {
            slots: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Slab<T> {
    /// Puts a value into a free slot; gives slot and generation.
    pub fn insert(&mut self, value: T) -> (u32, u16) {
        if let Some(index) = self.free.pop() {
            let slot = &mut self.slots[index as usize];
            slot.value = Some(value);
            return (index, slot.generation);
        }
        let index = self.slots.len() as u32;
        self.slots.push(Slot {
            generation: 0,
            value: Some(value),
        });
        (index, 0)
    }

    /// Takes the value out of a slot; its keys are dead from now on.
    pub fn remove(&mut self, index: u32) -> Option<T> {
        let slot = self.slots.get_mut(index as usize)?;
        let value = slot.value.take()?;
        if slot.generation < u16::MAX {
            slot.generation += 1;
            self.free.push(index);
        }
        Some(value)
    }

    /// The value in a slot.
    #[inline]
    #[must_use]
    pub fn get(&self, index: u32) -> Option<&T> {
        self.slots.get(index as usize)?.value.as_ref()
    }

    /// The value in a slot.
    #[inline]
    pub fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.slots.get_mut(index as usize)?.value.as_mut()
    }

    /// The generation of a slot that holds a value, and the value.
    #[inline]
    pub fn entry(&mut self, index: u32) -> Option<(u16, &mut T)> {
        let slot = self.slots.get_mut(index as usize)?;
        Some((slot.generation, slot.value.as_mut()?))
    }

    /// The value that this slot held in this generation.
    #[inline]
    pub fn find(&mut self, index: u32, generation: u16) -> Option<&mut T> {
        let slot = self.slots.get_mut(index as usize)?;
        if slot.generation == generation {
            slot.value.as_mut()
        } else {
            None
        }
    }

    /// Takes every value out, in the order of the slots.
    pub fn drain(&mut self) -> impl Iterator<Item = T> {
        self.free.clear();
        self.slots.drain(..).filter_map(|slot| slot.value)
    }

    /// Every value with its slot, in the order of the slots.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let slots = self.slots.iter().enumerate();
        slots.filter_map(|(index, slot)| Some((index as u32, slot.value.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_key_never_finds_a_new_value() {
        let mut slab = Slab::default();
        let (index, generation) = slab.insert("old");
        slab.remove(index);
        let (again, newer) = slab.insert("new");
        assert_eq!(again, index);
        assert_eq!(slab.find(index, generation), None);
        assert_eq!(slab.find(index, newer), Some(&mut "new"));
    }

    #[test]
    fn a_slot_retires_when_its_generation_would_wrap() {
        let mut slab = Slab::default();
        for _ in 0..=u16::MAX {
            let (index, _) = slab.insert(());
            assert_eq!(index, 0);
            slab.remove(index);
        }
        assert_eq!(slab.insert(()), (1, 0));
    }
}
